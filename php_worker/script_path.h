// Which file a request means: SCRIPT_FILENAME as web servers send it, taken apart into script and PATH_INFO.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "php_worker/params.h"

namespace paddock::php_worker {

struct Script {
  enum class Outcome : std::uint8_t {
    kFound,
    kMissing,    // no such file, or neither a regular file nor a directory: 404
    kForbidden,  // a directory, or not ours to read: 403
  };
  Outcome outcome = Outcome::kMissing;
  const char *path = nullptr;  // absolute; in the params, or null
  struct stat status {};       // of the file, where kFound
};

// What mod_proxy_fcgi puts before a path ("proxy:unix:/run/x.sock|fcgi://name/srv/a.php",
// "proxy:fcgi://name/srv/a.php", "proxy:balancer://…") and a query that mod_rewrite left behind, taken off.
// Without such a prefix: the path as it is.
[[nodiscard]] std::string_view strip_proxy_prefix(std::string_view filename);

// PHP-FPM's, by its cgi.fix_pathinfo and cgi.discard_path.
enum class ScriptRule : std::uint8_t {
  kSplit,       // SCRIPT_FILENAME may go on behind the script: that is PATH_INFO
  kAsSent,      // SCRIPT_FILENAME names the script
  kTranslated,  // PATH_TRANSLATED does, where there is one
};

// Finds the script of a request and, with kSplit, repairs SCRIPT_FILENAME, SCRIPT_NAME, PATH_INFO and
// PATH_TRANSLATED the way PHP-FPM does; what is replaced stays readable as ORIG_…. With the others only the
// proxy prefix is taken off, if that is wanted. One stat(2) where the file exists.
[[nodiscard]] Script locate_script(Params &params, ScriptRule rule, bool strip_proxy = true);

// Whether the name ends in one of the extensions (".php .phar"); an empty list allows all.
[[nodiscard]] bool extension_allowed(std::string_view path, std::string_view extensions);

}  // namespace paddock::php_worker
