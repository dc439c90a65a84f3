// The request that PHP is in, for the files that implement its SAPI. Not for others.
#pragma once

#include <sys/stat.h>

#include <memory>

#include "php_worker/collected_body.h"
#include "php_worker/connection.h"
#include "php_worker/params.h"
#include "php_worker/sapi.h"
#include "protocols/zygote_link/zygote_link.h"

namespace paddock::php_worker {

struct SapiRequest {
  Connection *connection = nullptr;
  Params *params = nullptr;
  struct stat script_status {};
  bool input_closed = false;  // PHP's own draining of a body that no script wanted is not to wait for it
  bool engine_off = false;    // php_flag engine off: the script is not run
  std::int64_t content_length = -1;  // -1: not told (a chunked body)
  std::int64_t body_read = 0;
  std::unique_ptr<CollectedBody> body;  // where PHP has it from memory (post_reader.h)
  unsigned status = 0;                  // that was sent; 0: not yet
};

// Ends the answer of the script that runs, with its figures where the web server wants them.
void finish_answer(Connection &connection);

// Null outside of a request.
SapiRequest *current_request();

// How the tenant's requests are served.
const zygote_link::Serving &serving();

// fastcgi_finish_request() and its kin, and the module's ini entries (sapi_module.cc).
struct ModuleSettings {
  bool fix_pathinfo = true;
  bool discard_path = false;
  const char *error_header = nullptr;  // in place of the status of a script that failed; null or empty: none
  bool engine = true;
  const char *limit_extensions = "";
};
const ModuleSettings &module_settings();

}  // namespace paddock::php_worker
