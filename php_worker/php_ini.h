// ini entries beyond php.ini: the plan's, for the life of a sandbox, and the web server's, for one request.
#pragma once

#include <string_view>

#include "php_worker/params.h"

namespace paddock::php_worker {

// Before php_request_startup(), within zend_try: .user.ini (user_ini.h), .htaccess
// (htaccess_settings.h), then PHP_VALUE and PHP_ADMIN_VALUE
// as far as the plan allows.
// Whatever is set is undone by php_request_shutdown(). Entries that the plan has set as admin stay.
void apply_request_ini(const Params &params, const char *script);

// One entry for this request, within zend_try, as php_value (PHP_INI_PERDIR) or php_admin_value sets it.
// False: PHP does not know the name or refuses the value, or the plan has set it as admin.
bool set_for_request(std::string_view name, std::string_view value, bool admin, bool htaccess);

// Fresh random state: of PHP's Mersenne twister and LCG, and of the C library.
void reseed_random();

}  // namespace paddock::php_worker
