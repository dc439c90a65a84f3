// What programs of either kind have to be told of a request.
#pragma once

#include <string>

#include "php_worker/connection.h"
#include "php_worker/params.h"
#include "php_worker/script_path.h"
#include "protocols/fastcgi/exchange.h"

namespace paddock::php_worker::programs {

struct ProgramRequest {
  bool answered = false;
  unsigned status = 0;  // where it is answered
  Script script;        // where one is wanted: a file that this account may execute
};

// Decodes and repairs `params` (request_intake.h), finds the script if one is wanted, and answers where there
// is none to run.
[[nodiscard]] ProgramRequest take_program_request(Connection &connection, Params &params, bool script);

// The request's body, as it comes.
class RequestBody final : public fastcgi::BodySource {
 public:
  explicit RequestBody(Connection &connection);
  [[nodiscard]] std::string take(std::size_t limit) override;
  [[nodiscard]] bool at_end() const override { return at_end_; }
  // The web server's end broke off in the middle.
  [[nodiscard]] bool failed() const override { return failed_; }

 private:
  Connection &connection_;
  bool at_end_ = false;
  bool failed_ = false;
};

}  // namespace paddock::php_worker::programs
