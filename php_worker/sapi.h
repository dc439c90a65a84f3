// PHP as this program embeds it: one interpreter a process, started once, copied by fork(2), serving
// requests.
//
// Scripts see the SAPI "fpm-fcgi" (frameworks look for it, and opcache starts only under names that it
// knows).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "php_worker/connection.h"
#include "php_worker/params.h"
#include "protocols/zygote_link/zygote_link.h"

namespace paddock::php_worker {

struct PhpOptions {
  std::string ini_dir;  // php.ini, and conf.d/*.ini below; empty: as libphp was built
  std::vector<std::pair<std::string, std::string>> ini;  // after the files, as php -d
};

// Starts the modules. Runs no script. Once a process, on its only thread.
[[nodiscard]] Result<void> start_php(const PhpOptions &options);
[[nodiscard]] std::string php_version();
// The line of a header that says so, with its end; empty where expose_php is off.
[[nodiscard]] std::string_view powered_by();

// What differs from tenant to tenant, set in the keeper, before the first worker. Entries that PHP refuses
// are reported by name in the result and the others hold.
[[nodiscard]] std::vector<std::string> apply_plan(const std::vector<zygote_link::IniEntry> &ini,
                                                  zygote_link::IniFromWeb ini_from_web);

// Before the first worker too.
void set_serving(const zygote_link::Serving &serving);

// In a worker, after the fork: random numbers of its own (the zygote's would be everybody's), signals as PHP
// wants them for a process that serves request after request.
void prepare_worker_php();

// Runs the request whose params have been decoded, to its end: the answer is finished, but the connection is
// not closed. What goes wrong goes to standard error, a line each. `script` receives the file's path, for the
// scoreboard, before it runs. The status that was sent; 0: none.
unsigned serve_request(Connection &connection, Params &params, void (*script_found)(const char *path));

// A line for the tenant's log: one write(2) to standard error, control characters and all that is not ASCII
// escaped by the keeper's relay. Allocates nothing.
void log_line(std::string_view what, std::string_view detail = {});

}  // namespace paddock::php_worker
