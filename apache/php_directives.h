// php_value, php_flag, php_admin_value and php_admin_flag, in mod_php's contexts and merged by its rules.
#pragma once

#include <string>

#include "apache/apache.h"

namespace paddock::apache {

struct PhpSetting {
  const char *name;
  const char *value;
  bool admin;     // php_admin_…: nothing below, and no script, changes it
  bool htaccess;  // it stood in an .htaccess file
};

// Apache's command handlers.
const char *set_php_value(cmd_parms *cmd, void *settings, const char *name, const char *value);
const char *set_php_flag(cmd_parms *cmd, void *settings, const char *name, const char *value);
const char *set_php_admin_value(cmd_parms *cmd, void *settings, const char *name, const char *value);
const char *set_php_admin_flag(cmd_parms *cmd, void *settings, const char *name, const char *value);

// `add` over `base`; what an admin directive has set, only another one replaces. Either may be null.
[[nodiscard]] apr_hash_t *merge_php(apr_pool_t *pool, apr_hash_t *base, apr_hash_t *add);

// `php_flag engine off` (or php_value engine 0): the file is a file like others.
[[nodiscard]] bool engine_is_off(apr_hash_t *php);

// The content of FastCGI's record kSettings (protocols/fastcgi/settings.h).
[[nodiscard]] std::string encode_php(apr_pool_t *pool, apr_hash_t *php);

}  // namespace paddock::apache
