// What the .htaccess files on the way to a script say about PHP, applied as mod_php applies it.
#pragma once

#include <cstdint>
#include <string_view>

#include "php_worker/params.h"

namespace paddock::php_worker {

enum class HtaccessVerdict : std::uint8_t {
  kServe,      // what they say is held for apply_htaccess()
  kForbidden,  // a file that cannot be read; 403, as Apache answers
  kBroken,     // a syntax error; 500
};

// Where Apache begins to look for a script's .htaccess files, as far as the params tell: DOCUMENT_ROOT, or
// CONTEXT_DOCUMENT_ROOT (mod_userdir, Alias), whichever of them is above the script and higher up; else the
// script's own directory.
[[nodiscard]] std::string_view htaccess_root(const Params &params, std::string_view script);

// Reads them, from a cache of this process that makes its inotify instance at the first call. What is wrong
// with a file, and what had to be skipped in it, goes to the tenant's log with file and line. Where nothing
// has changed: one read(2), one statx(2), and one stat(2) for each .htaccess that exists.
[[nodiscard]] HtaccessVerdict read_htaccess(const Params &params, const char *script);

// Before php_request_startup(), within zend_try. Names that PHP does not know, or that only the system may
// set, are skipped in silence; what the plan has set as admin is such a name.
void apply_htaccess();
// There is nothing to apply.
void forget_htaccess();

}  // namespace paddock::php_worker
