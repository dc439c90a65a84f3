#include "apache/settings.h"

#include <climits>
#include <cstdlib>
#include <cstring>
#include <new>

#include "apache/mod_php_names.h"
#include "apache/php_directives.h"

namespace paddock::apache {
namespace {

DirSettings &in_directory(void *settings) {
  return *static_cast<DirSettings *>(settings);
}

const char *set_config(cmd_parms *cmd, void *, const char *path) {
  if (const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY); wrong != nullptr) return wrong;
  server_settings(cmd->server).config_file = ap_server_root_relative(cmd->pool, path);
  return nullptr;
}

const char *set_tenant(cmd_parms *, void *settings, const char *name) {
  DirSettings &here = in_directory(settings);
  here.source = std::strcmp(name, "none") == 0 ? Source::kNone : Source::kName;
  here.tenant = name;
  return nullptr;
}

// "HOST TENANT" a line; # starts a comment.
const char *read_map(cmd_parms *cmd, const char *path, DirSettings &here) {
  ap_configfile_t *file = nullptr;
  const char *full = ap_server_root_relative(cmd->pool, path);
  if (const apr_status_t status = ap_pcfg_openfile(&file, cmd->temp_pool, full); status != APR_SUCCESS) {
    char reason[128];
    return apr_psprintf(cmd->pool, "PaddockTenantFrom map: cannot open %s: %s", full,
                        apr_strerror(status, reason, sizeof reason));
  }
  here.map = apr_hash_make(cmd->pool);
  char line[1024];
  const char *wrong = nullptr;
  while (wrong == nullptr && ap_cfg_getline(line, sizeof line, file) == APR_SUCCESS) {
    const char *rest = line;
    char *host = ap_getword_white(cmd->pool, &rest);
    if (*host == '\0' || *host == '#') continue;
    const char *tenant = ap_getword_white(cmd->pool, &rest);
    if (*tenant == '\0' || *rest != '\0') {
      wrong = apr_psprintf(cmd->pool, "PaddockTenantFrom map: %s:%u: expected HOST TENANT", full,
                           file->line_number);
    } else {
      ap_str_tolower(host);
      apr_hash_set(here.map, host, APR_HASH_KEY_STRING, tenant);
    }
  }
  ap_cfg_closefile(file);
  return wrong;
}

const char *set_tenant_from(cmd_parms *cmd, void *settings, const char *source, const char *what) {
  DirSettings &here = in_directory(settings);
  if (std::strcmp(source, "owner") == 0 && what == nullptr) {
    here.source = Source::kOwner;
    return nullptr;
  }
  if (std::strcmp(source, "map") == 0 && what != nullptr) {
    here.source = Source::kMap;
    return read_map(cmd, what, here);
  }
  if (std::strcmp(source, "env") == 0 && what != nullptr) {
    here.source = Source::kEnvironment;
    here.tenant = what;
    return nullptr;
  }
  return "PaddockTenantFrom takes 'owner', 'map FILE' or 'env NAME'";
}

const char *add_extension(cmd_parms *cmd, void *settings, const char *extension) {
  DirSettings &here = in_directory(settings);
  if (extension[0] != '.' || extension[1] == '\0') return "PaddockExtensions: an extension starts with a dot";
  if (here.extensions == nullptr) here.extensions = apr_array_make(cmd->pool, 4, sizeof(const char *));
  *static_cast<const char **>(apr_array_push(here.extensions)) = extension;
  return nullptr;
}

bool parse_number(const char *text, int lowest, int highest, int &number) {
  char *end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < lowest || value > highest) return false;
  number = static_cast<int>(value);
  return true;
}

const char *set_suspend_after(cmd_parms *, void *settings, const char *text) {
  DirSettings &here = in_directory(settings);
  if (std::strcmp(text, "never") == 0) {
    here.suspend_after_ms = kNeverSuspend;
    return nullptr;
  }
  return parse_number(text, 0, 600'000, here.suspend_after_ms)
             ? nullptr
             : "PaddockSuspendAfter takes milliseconds (0 to 600000) or 'never'";
}

const char *set_timeout(cmd_parms *, void *settings, const char *text) {
  return parse_number(text, 1, 86'400, in_directory(settings).timeout_s)
             ? nullptr
             : "PaddockTimeout takes seconds (1 to 86400)";
}

const char *set_restore(cmd_parms *, void *settings, int on) {
  in_directory(settings).restore_environment = on;
  return nullptr;
}

const char *set_limit(cmd_parms *cmd, void *, const char *text) {
  if (const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY); wrong != nullptr) return wrong;
  return parse_number(text, 0, 1'000'000, server_settings(cmd->server).limit)
             ? nullptr
             : "PaddockLimit takes a number of requests; 0: no limit";
}

const char *set_tenant_limit(cmd_parms *cmd, void *, const char *text) {
  if (const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY); wrong != nullptr) return wrong;
  return parse_number(text, 0, 1'000'000, server_settings(cmd->server).tenant_limit)
             ? nullptr
             : "PaddockTenantLimit takes a number of requests; 0: no limit";
}

// The union of handler types that command_rec has; C's designated macros do not compile as C++.
template <typename Function>
cmd_func as_command(Function *function) {
  cmd_func result{};
  static_assert(sizeof function == sizeof result);
  std::memcpy(&result, &function, sizeof result);
  return result;
}

constexpr int kServerOnly = RSRC_CONF;
constexpr int kNotInHtaccess = RSRC_CONF | ACCESS_CONF;

const command_rec kCommands[] = {
    {"PaddockConfig", as_command(set_config), nullptr, kServerOnly, TAKE1,
     "Paddock's own config (/etc/paddock/paddock.toml)"},
    {"PaddockTenant", as_command(set_tenant), nullptr, kNotInHtaccess, TAKE1,
     "the tenant that PHP runs as, or 'none'"},
    {"PaddockTenantFrom", as_command(set_tenant_from), nullptr, kNotInHtaccess, TAKE12,
     "where to find the tenant's name: owner, map FILE, env NAME"},
    {"PaddockExtensions", as_command(add_extension), nullptr, kNotInHtaccess, ITERATE,
     "endings of the files that are PHP (.php)"},
    {"PaddockSuspendAfter", as_command(set_suspend_after), nullptr, kNotInHtaccess, TAKE1,
     "milliseconds that a thread waits for PHP, or 'never'"},
    {"PaddockTimeout", as_command(set_timeout), nullptr, kNotInHtaccess, TAKE1,
     "seconds without a word from PHP after which a request is given up"},
    {"PaddockRestoreEnvironment", as_command(set_restore), nullptr, kNotInHtaccess, FLAG,
     "give variables back the names that they had before an internal redirect"},
    {"PaddockLimit", as_command(set_limit), nullptr, kServerOnly, TAKE1,
     "PHP requests at once in all of Apache"},
    {"PaddockTenantLimit", as_command(set_tenant_limit), nullptr, kServerOnly, TAKE1,
     "PHP requests at once of one tenant"},
    {"PaddockModPhpNames", as_command(set_mod_php_names), nullptr, kServerOnly | EXEC_ON_READ, FLAG,
     "make <IfModule mod_php.c>, mod_php7.c and mod_php5.c true"},
    {"php_value", as_command(set_php_value), nullptr, OR_OPTIONS, TAKE2,
     "a PHP setting that scripts may change"},
    {"php_flag", as_command(set_php_flag), nullptr, OR_OPTIONS, TAKE2, "the same, on or off"},
    {"php_admin_value", as_command(set_php_admin_value), nullptr, kNotInHtaccess, TAKE2,
     "a PHP setting that nothing below may change"},
    {"php_admin_flag", as_command(set_php_admin_flag), nullptr, kNotInHtaccess, TAKE2, "the same, on or off"},
    {nullptr, {}, nullptr, 0, NO_ARGS, nullptr}};

}  // namespace

const DirSettings &dir_settings(const request_rec *r) {
  return *static_cast<const DirSettings *>(ap_get_module_config(r->per_dir_config, &paddock_module));
}

ServerSettings &server_settings(server_rec *main_server) {
  return *static_cast<ServerSettings *>(ap_get_module_config(main_server->module_config, &paddock_module));
}

void *create_dir_settings(apr_pool_t *pool, char *) {
  return new (apr_palloc(pool, sizeof(DirSettings))) DirSettings;
}

void *merge_dir_settings(apr_pool_t *pool, void *base, void *add) {
  auto *merged = new (apr_palloc(pool, sizeof(DirSettings))) DirSettings(in_directory(base));
  const DirSettings &deeper = in_directory(add);
  if (deeper.source != Source::kUnset) {
    merged->source = deeper.source;
    merged->tenant = deeper.tenant;
    merged->map = deeper.map;
  }
  if (deeper.extensions != nullptr) merged->extensions = deeper.extensions;
  if (deeper.suspend_after_ms >= 0) merged->suspend_after_ms = deeper.suspend_after_ms;
  if (deeper.timeout_s >= 0) merged->timeout_s = deeper.timeout_s;
  if (deeper.restore_environment >= 0) merged->restore_environment = deeper.restore_environment;
  merged->php = merge_php(pool, merged->php, deeper.php);
  return merged;
}

void *create_server_settings(apr_pool_t *pool, server_rec *) {
  return new (apr_palloc(pool, sizeof(ServerSettings))) ServerSettings;
}

const command_rec *commands() {
  return kCommands;
}

}  // namespace paddock::apache
