// libphp's headers, in the one order that works from C++. Only .cc files of this folder include this.
#pragma once

// clang-format off
#include <main/php.h>
#include <main/SAPI.h>
#include <main/php_ini.h>
#include <main/php_content_types.h>
#include <main/php_main.h>
#include <main/php_variables.h>
extern "C" {
#include <ext/standard/head.h>  // does not say so itself
}
#include <ext/standard/info.h>
#include <Zend/zend_exceptions.h>
#include <Zend/zend_extensions.h>
#include <Zend/zend_ini.h>
#include <Zend/zend_ini_scanner.h>
#include <Zend/zend_signal.h>
// clang-format on

#if PHP_VERSION_ID < 80100 || PHP_VERSION_ID >= 80500
#error "paddock-php is written for PHP 8.1 to 8.4"
#endif
#ifdef ZTS
#error "paddock-php needs a PHP without thread safety: its workers are processes"
#endif
