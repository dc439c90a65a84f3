// mod_paddock: Apache speaks to Paddock natively. docs/man/mod_paddock.8 says what the admin writes; this
// file is the edge to httpd.
#include <strings.h>

#include <cstring>
#include <memory>

#include "apache/admission.h"
#include "apache/apache.h"
#include "apache/binding.h"
#include "apache/host.h"
#include "apache/php_directives.h"
#include "apache/quiet_output.h"
#include "apache/redirect.h"
#include "apache/settings.h"
#include "apache/status.h"
#include "apache/suspension.h"
#include "apache/transaction.h"

namespace paddock::apache {
namespace {

constexpr const char *kHandler = "paddock-php";
constexpr const char *kDefaultConfig = "/etc/paddock/paddock.toml";

// Of this generation of the config; children inherit it.
const Host *host = nullptr;

bool has_tenant(const DirSettings &settings) {
  return settings.source != Source::kUnset && settings.source != Source::kNone;
}

bool is_script(const request_rec *r, const DirSettings &settings) {
  const std::string_view name(r->filename);
  if (settings.extensions == nullptr) return name.ends_with(".php");
  for (int i = 0; i < settings.extensions->nelts; ++i)
    if (name.ends_with(reinterpret_cast<const char *const *>(settings.extensions->elts)[i])) return true;
  return false;
}

// Handlers that sites know from mod_php.
bool is_php_handler(const char *handler) {
  return ::strncasecmp(handler, "application/x-httpd-php", 23) == 0 ||
         std::strcmp(handler, "php-script") == 0;
}

// Handlers that sites know from mod_cgid and mod_fcgid.
bool is_program_handler(const char *handler) {
  return std::strcmp(handler, "cgi-script") == 0 || std::strcmp(handler, "fcgid-script") == 0;
}

bool names_programs(const DirSettings &settings) {
  if (settings.source != Source::kName || host == nullptr) return false;
  const HostTenant *tenant = host->find(std::string_view(settings.tenant));
  return tenant != nullptr && !tenant->runs_php;
}

// `SetHandler none`: core leaves r->handler alone then, as if nothing had been said.
bool handler_is_none(request_rec *r) {
  const auto *core = static_cast<const core_dir_config *>(ap_get_core_module_config(r->per_dir_config));
  const char *handler = core->handler;
  const char *error = nullptr;
  if (core->expr_handler != nullptr) handler = ap_expr_str_exec(r, core->expr_handler, &error);
  return handler != nullptr && ::strcasecmp(handler, "none") == 0;
}

// Fixups, after core's: whose file is it? In a hook and not in the handler, so that mod_negotiation finds it.
int choose_handler(request_rec *r) {
  const DirSettings &settings = dir_settings(r);
  if (!has_tenant(settings) || r->filename == nullptr || r->finfo.filetype != APR_REG || r->proxyreq != 0)
    return DECLINED;
  if (r->handler != nullptr) {
    if (!is_php_handler(r->handler) && !(is_program_handler(r->handler) && names_programs(settings)))
      return DECLINED;
  } else if (r->content_type != nullptr && is_php_handler(r->content_type)) {
    // AddType application/x-httpd-php: a handler by another name.
  } else if (!is_script(r, settings)) {
    return DECLINED;
  } else if (handler_is_none(r)) {
    return DECLINED;
  }
  r->handler = kHandler;
  return DECLINED;
}

void wait_in_this_thread(Transaction &transaction, Transaction::Progress progress) {
  const apr_interval_time_t patience = progress == Transaction::Progress::kBackend
                                           ? transaction.timeout()
                                           : transaction.request()->connection->base_server->timeout;
  if (transaction.wait(progress, patience) || transaction.finished()) return;
  if (progress == Transaction::Progress::kBackend) {
    transaction.time_out();
  } else {
    transaction.abandon();
  }
}

int serve(request_rec *r, const HostTenant &tenant) {
  Transaction &transaction = Transaction::create(r, *host, tenant);
  if (const int status = transaction.begin(); status != OK) {
    transaction.leave_notes();
    return status;
  }
  const int after = dir_settings(r).suspend_after_ms;
  const bool suspends = after != kNeverSuspend && can_suspend(r);
  // For all waits together: an answer that trickles holds no thread either.
  const apr_time_t until = apr_time_now() + apr_time_from_msec(after < 0 ? kDefaultSuspendMs : after);
  for (;;) {
    const Transaction::Progress progress = transaction.advance();
    if (progress == Transaction::Progress::kDone) {
      transaction.leave_notes();
      return transaction.outcome();
    }
    if (suspends) {
      if (!transaction.wait(progress, until - apr_time_now()) && !transaction.finished())
        return suspend(transaction, progress);
    } else {
      wait_in_this_thread(transaction, progress);
    }
  }
}

int handle(request_rec *r) {
  if (r->handler == nullptr || std::strcmp(r->handler, kHandler) != 0) return DECLINED;
  // SetHandler paddock-php says nothing that the vhost has not said.
  if (!has_tenant(dir_settings(r))) return DECLINED;
  if (r->finfo.filetype != APR_REG) return HTTP_NOT_FOUND;
  if (r->used_path_info == AP_REQ_REJECT_PATH_INFO && r->path_info != nullptr && *r->path_info != '\0')
    return HTTP_NOT_FOUND;
  // mod_php steps aside, and Apache then sends the script's source.
  if (engine_is_off(dir_settings(r).php)) {
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "paddock: PHP's engine is switched off here: %s",
                  r->filename);
    return HTTP_FORBIDDEN;
  }
  if (host == nullptr) {
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "paddock: there is no config of Paddock");
    return HTTP_SERVICE_UNAVAILABLE;
  }
  // Whatever AddType says, what PHP sends decides.
  r->content_type = nullptr;
  const Binding binding = bind(r, *host);
  if (binding.tenant == nullptr) {
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "paddock: %s", binding.why);
    return binding.status;
  }
  return serve(r, *binding.tenant);
}

int keep_environment(request_rec *r) {
  remember_environment(r);
  return DECLINED;
}

int after_config(apr_pool_t *pool, apr_pool_t *, apr_pool_t *, server_rec *server) {
  host = nullptr;
  // The first of the two runs at the start only looks whether the config can be read; so does apache2 -t.
  if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG ||
      ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST)
    return OK;
  if (!Admission::prepare(server)) {
    ap_log_error(APLOG_MARK, APLOG_CRIT, errno, server, "paddock: no memory for the counters");
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  const char *file = server_settings(server).config_file;
  if (file == nullptr) file = kDefaultConfig;
  auto loaded = Host::load(file);
  if (!loaded.ok()) {
    ap_log_error(APLOG_MARK, APLOG_CRIT, 0, server, "paddock: %s", loaded.error().message().c_str());
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  host = std::move(loaded).value().release();
  apr_pool_cleanup_register(
      pool, host,
      [](void *of) {
        host = nullptr;
        delete static_cast<const Host *>(of);
        return APR_SUCCESS;
      },
      apr_pool_cleanup_null);
  return OK;
}

void start_child(apr_pool_t *pool, server_rec *server) {
  Admission::start_child(pool);
  start_suspension(pool, server);
}

void register_hooks(apr_pool_t *) {
  register_quiet_output();
  register_status();
  ap_hook_post_config(after_config, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_child_init(start_child, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_map_to_storage(keep_environment, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_fixups(choose_handler, nullptr, nullptr, APR_HOOK_FIRST);
  ap_hook_handler(redirect, nullptr, nullptr, APR_HOOK_FIRST);
  ap_hook_handler(handle, nullptr, nullptr, APR_HOOK_FIRST);
  ap_hook_suspend_connection(connection_suspended, nullptr, nullptr, APR_HOOK_LAST);
}

}  // namespace
}  // namespace paddock::apache

extern "C" {
// Not STANDARD20_MODULE_STUFF: it would name the module by this file's path, and <IfModule mod_paddock.c> is
// what admins write.
module AP_MODULE_DECLARE_DATA paddock_module = {MODULE_MAGIC_NUMBER_MAJOR,
                                                MODULE_MAGIC_NUMBER_MINOR,
                                                -1,
                                                "mod_paddock.c",
                                                nullptr,
                                                nullptr,
                                                MODULE_MAGIC_COOKIE,
                                                nullptr,
                                                paddock::apache::create_dir_settings,
                                                paddock::apache::merge_dir_settings,
                                                paddock::apache::create_server_settings,
                                                nullptr,
                                                paddock::apache::commands(),
                                                paddock::apache::register_hooks,
                                                0};
}
