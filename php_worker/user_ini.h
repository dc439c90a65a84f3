// .user.ini: a tenant's own settings for a directory and those below it (PHP manual, ".user.ini files").
#pragma once

namespace paddock::php_worker {

// Before php_request_startup(), within zend_try: what the files named by user_ini.filename say, from
// document_root (null, or not above the script: the script's own directory only) down to the script's
// directory. A deeper file wins. Read again when user_ini.cache_ttl seconds have passed, as PHP-FPM does;
// php_request_shutdown() undoes what is set.
void apply_user_ini(const char *document_root, const char *script);

}  // namespace paddock::php_worker
