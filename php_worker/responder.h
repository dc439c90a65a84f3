// What a worker answers requests with: PHP, or a program of the tenant's (programs/).
#pragma once

#include <memory>

#include "php_worker/connection.h"
#include "php_worker/params.h"
#include "protocols/zygote_link/zygote_link.h"

namespace paddock::php_worker {

class Responder {
 public:
  virtual ~Responder() = default;
  // Runs the request whose params have come, to its end: the answer is finished, but the connection is not
  // closed. What goes wrong goes to standard error, a line each. `script_found` receives the path of what
  // runs, for the scoreboard, before it does. The status that was sent; 0: none.
  virtual unsigned serve(Connection &connection, Params &params, void (*script_found)(const char *path)) = 0;
};

// In a worker.
[[nodiscard]] std::unique_ptr<Responder> make_responder(const zygote_link::Program &program);

}  // namespace paddock::php_worker
