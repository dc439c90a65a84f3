// What a request goes through before somebody runs it, whatever the tenant's kind: its variables are decoded
// and repaired; what is malformed is answered, and so are the status and the ping page.
#pragma once

#include <cstdint>
#include <string_view>

#include "php_worker/connection.h"
#include "php_worker/params.h"

namespace paddock::php_worker {

struct Intake {
  bool answered = false;
  unsigned status = 0;               // where it is answered; 0: none was sent
  std::int64_t content_length = -1;  // -1: not told (a chunked body, or none)
};

// `params` hold the request's variables afterwards.
[[nodiscard]] Intake take_request(Connection &connection, Params &params);

// Answers with a status ("404 Not Found") and a few words, and ends the answer. Returns the status' number.
unsigned answer_plainly(Connection &connection, std::string_view status, std::string_view body);

}  // namespace paddock::php_worker
