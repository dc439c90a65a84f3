// Answers requests with CGI scripts (RFC 3875): a process a request, whose environment holds the request's
// variables, whose standard input is its body and whose standard output the answer.
#pragma once

#include "php_worker/responder.h"

namespace paddock::php_worker::programs {

class CgiResponder final : public Responder {
 public:
  unsigned serve(Connection &connection, Params &params, void (*script_found)(const char *path)) override;
};

}  // namespace paddock::php_worker::programs
