// The headers of httpd, in the one order that works from C++.
#pragma once

#include <ap_mpm.h>
#include <apr_atomic.h>
#include <apr_hash.h>
#include <apr_optional.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <httpd.h>
#include <mod_core.h>
#include <mpm_common.h>
#include <util_filter.h>
#include <util_script.h>

extern "C" {
extern module AP_MODULE_DECLARE_DATA paddock_module;
}
APLOG_USE_MODULE(paddock);
