// The functions that PHP-FPM gives to scripts, as a PHP module of the same name ("cgi-fcgi").
#pragma once

#include "php_worker/php_headers.h"

namespace paddock::php_worker {

zend_module_entry *fastcgi_module();

}  // namespace paddock::php_worker
