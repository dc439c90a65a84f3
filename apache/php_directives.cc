#include "apache/php_directives.h"

#include <strings.h>

#include <cstring>

#include "apache/settings.h"
#include "protocols/fastcgi/settings.h"

namespace paddock::apache {
namespace {

const char *set(cmd_parms *cmd, void *settings, const char *name, const char *value, bool admin) {
  auto &here = *static_cast<DirSettings *>(settings);
  if (here.php == nullptr) here.php = apr_hash_make(cmd->pool);
  const auto *before = static_cast<const PhpSetting *>(apr_hash_get(here.php, name, APR_HASH_KEY_STRING));
  if (before != nullptr && before->admin && !admin) return nullptr;
  // As mod_php reads it: `none` is the empty value.
  if (::strcasecmp(value, "none") == 0) value = "";
  const bool htaccess = (cmd->override & (RSRC_CONF | ACCESS_CONF)) == 0;
  auto *entry = static_cast<PhpSetting *>(apr_palloc(cmd->pool, sizeof(PhpSetting)));
  *entry = {apr_pstrdup(cmd->pool, name), apr_pstrdup(cmd->pool, value), admin, htaccess};
  apr_hash_set(here.php, entry->name, APR_HASH_KEY_STRING, entry);
  return nullptr;
}

// mod_php takes anything but On and 1 as off.
const char *as_flag(const char *value) {
  return ::strcasecmp(value, "on") == 0 || std::strcmp(value, "1") == 0 ? "1" : "0";
}

void *stronger(apr_pool_t *, const void *, apr_ssize_t, const void *add, const void *base, const void *) {
  const auto *deeper = static_cast<const PhpSetting *>(add);
  const auto *outer = static_cast<const PhpSetting *>(base);
  return const_cast<PhpSetting *>(outer->admin && !deeper->admin ? outer : deeper);
}

}  // namespace

const char *set_php_value(cmd_parms *cmd, void *settings, const char *name, const char *value) {
  return set(cmd, settings, name, value, false);
}
const char *set_php_flag(cmd_parms *cmd, void *settings, const char *name, const char *value) {
  return set(cmd, settings, name, as_flag(value), false);
}
const char *set_php_admin_value(cmd_parms *cmd, void *settings, const char *name, const char *value) {
  return set(cmd, settings, name, value, true);
}
const char *set_php_admin_flag(cmd_parms *cmd, void *settings, const char *name, const char *value) {
  return set(cmd, settings, name, as_flag(value), true);
}

apr_hash_t *merge_php(apr_pool_t *pool, apr_hash_t *base, apr_hash_t *add) {
  if (add == nullptr) return base;
  if (base == nullptr) return add;
  return apr_hash_merge(pool, add, base, stronger, nullptr);
}

bool engine_is_off(apr_hash_t *php) {
  if (php == nullptr) return false;
  const auto *engine = static_cast<const PhpSetting *>(apr_hash_get(php, "engine", APR_HASH_KEY_STRING));
  if (engine == nullptr) return false;
  return *engine->value == '\0' || std::strcmp(engine->value, "0") == 0 ||
         ::strcasecmp(engine->value, "off") == 0;
}

std::string encode_php(apr_pool_t *pool, apr_hash_t *php) {
  std::string content;
  if (php == nullptr) return content;
  for (apr_hash_index_t *at = apr_hash_first(pool, php); at != nullptr; at = apr_hash_next(at)) {
    const auto *setting = static_cast<const PhpSetting *>(apr_hash_this_val(at));
    fastcgi::append_setting(content, {setting->name, setting->value, setting->admin, setting->htaccess});
  }
  return content;
}

}  // namespace paddock::apache
