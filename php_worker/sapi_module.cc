#include "php_worker/sapi_module.h"

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <ctime>
#include <string>

#include "base/monotonic.h"
#include "php_worker/access_log.h"
#include "php_worker/pool_view.h"
#include "php_worker/request_figures.h"
#include "php_worker/response_headers.h"
#include "php_worker/sapi.h"
#include "php_worker/sapi_request.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {
namespace {

ModuleSettings settings;

PHP_INI_MH(on_fix_pathinfo) {
  (void)entry, (void)mh_arg1, (void)mh_arg2, (void)mh_arg3, (void)stage;
  settings.fix_pathinfo = zend_ini_parse_bool(new_value);
  return SUCCESS;
}

PHP_INI_MH(on_discard_path) {
  (void)entry, (void)mh_arg1, (void)mh_arg2, (void)mh_arg3, (void)stage;
  settings.discard_path = zend_ini_parse_bool(new_value);
  return SUCCESS;
}

PHP_INI_MH(on_error_header) {
  (void)entry, (void)mh_arg1, (void)mh_arg2, (void)mh_arg3, (void)stage;
  settings.error_header = new_value == nullptr ? nullptr : ZSTR_VAL(new_value);
  return SUCCESS;
}

PHP_INI_MH(on_limit_extensions) {
  (void)entry, (void)mh_arg1, (void)mh_arg2, (void)mh_arg3, (void)stage;
  settings.limit_extensions = new_value == nullptr ? "" : ZSTR_VAL(new_value);
  return SUCCESS;
}

// mod_php's switch, which sites set by php_flag.
PHP_INI_MH(on_engine) {
  (void)entry, (void)mh_arg1, (void)mh_arg2, (void)mh_arg3, (void)stage;
  settings.engine = zend_ini_parse_bool(new_value);
  return SUCCESS;
}

PHP_INI_BEGIN()
PHP_INI_ENTRY("engine", "1", PHP_INI_ALL, on_engine)
PHP_INI_ENTRY("cgi.fix_pathinfo", "1", PHP_INI_SYSTEM, on_fix_pathinfo)
PHP_INI_ENTRY("cgi.discard_path", "0", PHP_INI_SYSTEM, on_discard_path)
PHP_INI_ENTRY("fastcgi.error_header", nullptr, PHP_INI_SYSTEM, on_error_header)
PHP_INI_ENTRY("paddock.limit_extensions", ".php .phar", PHP_INI_SYSTEM, on_limit_extensions)
PHP_INI_END()

PHP_FUNCTION(fastcgi_finish_request) {
  ZEND_PARSE_PARAMETERS_NONE();
  SapiRequest *now = current_request();
  if (now == nullptr || now->connection->finished() || now->connection->peer_gone()) RETURN_FALSE;
  php_output_end_all();
  php_header();
  finish_answer(*now->connection);
  now->connection->close();
  RETURN_TRUE;
}

// "HTTP_USER_AGENT" -> "User-Agent"
void header_name(std::string_view param, char *name) {
  bool start = true;
  for (const char c : param) {
    const auto byte = static_cast<unsigned char>(c);
    *name++ = c == '_' ? '-' : static_cast<char>(start ? std::toupper(byte) : std::tolower(byte));
    start = c == '_';
  }
}

PHP_FUNCTION(getallheaders) {
  ZEND_PARSE_PARAMETERS_NONE();
  array_init(return_value);
  const SapiRequest *now = current_request();
  if (now == nullptr) return;
  for (const Params::Entry &entry : now->params->entries()) {
    std::string_view param = entry.name;
    if (param.starts_with("HTTP_")) {
      param.remove_prefix(5);
    } else if (param != "CONTENT_TYPE" && param != "CONTENT_LENGTH") {
      continue;
    }
    char name[256];
    if (param.empty() || param.size() > sizeof name) continue;
    header_name(param, name);
    add_assoc_stringl_ex(return_value, name, param.size(), entry.value.data(), entry.value.size());
  }
}

// The value of the last one of that name; empty: none.
std::string response_header(std::string_view name) {
  std::string found;
  for_each_header(SG(sapi_headers), [&](const sapi_header_struct &header) {
    const std::string_view line(header.header, header.header_len);
    if (line.size() <= name.size() || line[name.size()] != ':' ||
        ::strncasecmp(line.data(), name.data(), name.size()) != 0)
      return;
    found = line.substr(std::min(line.find_first_not_of(' ', name.size() + 1), line.size()));
  });
  return found;
}

PHP_FUNCTION(apache_response_headers) {
  ZEND_PARSE_PARAMETERS_NONE();
  array_init(return_value);
  for_each_header(SG(sapi_headers), [&](const sapi_header_struct &header) {
    const std::string_view line(header.header, header.header_len);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return;
    const auto value = std::min(line.find_first_not_of(' ', colon + 1), line.size());
    add_assoc_stringl_ex(return_value, line.data(), colon, line.data() + value, line.size() - value);
  });
}

void add_text(zval *array, const char *name, const char *text, std::size_t limit) {
  add_assoc_stringl(array, name, text, ::strnlen(text, limit));
}

void add_process(zval *list, const scoreboard::Slot &slot, std::uint64_t now_ns, std::time_t now) {
  const auto state = static_cast<scoreboard::State>(slot.state.load(std::memory_order_relaxed));
  if (state == scoreboard::State::kEmpty) return;
  const std::uint64_t since = slot.since_ns.load(std::memory_order_relaxed);
  const std::uint64_t age = since == 0 || since > now_ns ? 0 : now_ns - since;
  zval process;
  array_init(&process);
  add_assoc_long(&process, "pid", slot.pid.load(std::memory_order_relaxed));
  add_assoc_string(&process, "state", state == scoreboard::State::kBusy ? "Running" : "Idle");
  // With the one that it is in, as PHP-FPM has it.
  add_assoc_long(&process, "requests",
                 static_cast<zend_long>(slot.requests.load(std::memory_order_relaxed) +
                                        (state == scoreboard::State::kBusy ? 1 : 0)));
  const auto since_s = static_cast<zend_long>(age / 1'000'000'000);
  add_assoc_long(&process, "start-time", static_cast<zend_long>(now) - since_s);
  add_assoc_long(&process, "start-since", since_s);
  add_assoc_long(&process, "request-duration",
                 state == scoreboard::State::kBusy ? static_cast<zend_long>(age / 1'000) : 0);
  add_text(&process, "request-method", slot.method, sizeof slot.method);
  const std::string_view uri(slot.uri, ::strnlen(slot.uri, sizeof slot.uri));
  const std::size_t mark = std::min(uri.find('?'), uri.size());
  add_assoc_stringl(&process, "request-uri", uri.data(), mark);
  add_assoc_stringl(&process, "query-string", uri.data() + std::min(mark + 1, uri.size()),
                    uri.size() - std::min(mark + 1, uri.size()));
  add_assoc_long(&process, "request-length",
                 static_cast<zend_long>(slot.content_length.load(std::memory_order_relaxed)));
  add_assoc_string(&process, "user", "-");
  add_text(&process, "script", slot.script, sizeof slot.script);
  const auto taken = static_cast<double>(slot.last_taken_ns.load(std::memory_order_relaxed));
  add_assoc_double(
      &process, "last-request-cpu",
      taken == 0 ? 0 : 100 * static_cast<double>(slot.last_cpu_ns.load(std::memory_order_relaxed)) / taken);
  add_assoc_long(&process, "last-request-memory",
                 static_cast<zend_long>(slot.last_memory.load(std::memory_order_relaxed)));
  add_next_index_zval(list, &process);
}

PHP_FUNCTION(fpm_get_status) {
  ZEND_PARSE_PARAMETERS_NONE();
  if (pool_view().board == nullptr) RETURN_FALSE;
  const std::time_t now = std::time(nullptr);
  const PoolFigures figures = pool_figures();
  array_init(return_value);
  const auto add = [return_value](const char *name, std::uint64_t value) {
    add_assoc_long(return_value, name, static_cast<zend_long>(value));
  };
  add_assoc_stringl(return_value, "pool", pool_view().name.data(), pool_view().name.size());
  add_assoc_string(return_value, "process-manager", "ondemand");
  add("start-time", static_cast<std::uint64_t>(now) - figures.since_s);
  add("start-since", figures.since_s);
  add("accepted-conn", figures.accepted);
  add("listen-queue", figures.queue);
  add("max-listen-queue", figures.queue_most);
  add("listen-queue-len", figures.queue_limit);
  add("idle-processes", figures.idle);
  add("active-processes", figures.active);
  add("total-processes", figures.workers);
  add("max-active-processes", figures.active_most);
  add("max-children-reached", figures.limit_reached);
  add("slow-requests", figures.slow);
  zval processes;
  array_init(&processes);
  const std::uint64_t now_ns = monotonic_ns();
  for (const scoreboard::Slot &slot : pool_view().board->slots) add_process(&processes, slot, now_ns, now);
  add_assoc_zval(return_value, "procs", &processes);
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_bool, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()
ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_array, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()
ZEND_BEGIN_ARG_WITH_RETURN_TYPE_MASK_EX(arginfo_status, 0, 0, MAY_BE_ARRAY | MAY_BE_FALSE)
ZEND_END_ARG_INFO()

const zend_function_entry kFunctions[] = {
    // clang-format off
    PHP_FE(fastcgi_finish_request, arginfo_bool)
    PHP_FE(getallheaders, arginfo_array)
    PHP_FALIAS(apache_request_headers, getallheaders, arginfo_array)
    PHP_FE(apache_response_headers, arginfo_array)
    PHP_FE(fpm_get_status, arginfo_status)
    PHP_FE_END
    // clang-format on
};

PHP_MINIT_FUNCTION(cgi_fcgi) {
  (void)type;
  REGISTER_INI_ENTRIES();
  count_compilations();
  return SUCCESS;
}

PHP_MSHUTDOWN_FUNCTION(cgi_fcgi) {
  (void)type;
  UNREGISTER_INI_ENTRIES();
  return SUCCESS;
}

// After this hook PHP forgets them.
void note_details() {
  RequestDetails &details = request_details();
  details.memory = zend_memory_peak_usage(false);
  const DetailsWanted &wanted = details_wanted();
  if (wanted.user && SG(request_info).auth_user != nullptr) details.user = SG(request_info).auth_user;
  details.headers.resize(wanted.headers.size());
  for (std::size_t i = 0; i < wanted.headers.size(); ++i)
    details.headers[i] = response_header(wanted.headers[i]);
}

PHP_RSHUTDOWN_FUNCTION(cgi_fcgi) {
  (void)type, (void)module_number;
  if (SapiRequest *now = current_request(); now != nullptr) now->input_closed = true;
  note_details();
  return SUCCESS;
}

PHP_MINFO_FUNCTION(cgi_fcgi) {
  php_info_print_table_start();
  php_info_print_table_row(2, "Process manager", "Paddock");
  php_info_print_table_end();
  display_ini_entries(zend_module);
}

zend_module_entry entry = {STANDARD_MODULE_HEADER,
                           "cgi-fcgi",
                           kFunctions,
                           PHP_MINIT(cgi_fcgi),
                           PHP_MSHUTDOWN(cgi_fcgi),
                           nullptr,
                           PHP_RSHUTDOWN(cgi_fcgi),
                           PHP_MINFO(cgi_fcgi),
                           PHP_VERSION,
                           STANDARD_MODULE_PROPERTIES};

}  // namespace

zend_module_entry *fastcgi_module() {
  return &entry;
}

const ModuleSettings &module_settings() {
  return settings;
}

}  // namespace paddock::php_worker
