// The way of a program's answer to the web server: CGI's header block (RFC 3875, section 6) is read as far as
// the worker has to know it, and everything is passed on.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "php_worker/connection.h"

namespace paddock::php_worker::programs {

class ProgramOutput {
 public:
  // A header block that is longer is refused; web servers take less.
  static constexpr std::size_t kMaxHeader = 64 * 1024;

  explicit ProgramOutput(Connection &connection) : connection_(connection) {}

  // A piece of what the program says. False: nobody wants more of it.
  bool take(std::span<const char> piece);
  // Sends what is held back, since the program pauses.
  void flush();
  // The program has said all; ends the answer. Where it did not get as far as the end of a header block, the
  // answer is `status` and `text` (request_intake.h), and the log says why.
  void end(
      std::string_view why, std::string_view status = "500 Internal Server Error",
      std::string_view text = "The program of this site ended without an answer; the site's log says why.\n");

  // Of the answer; 0: there was none.
  [[nodiscard]] unsigned status() const { return status_; }

 private:
  bool take_header();

  Connection &connection_;
  std::string header_;
  bool header_passed_ = false;
  bool unflushed_ = false;
  bool refused_ = false;
  unsigned status_ = 0;
};

}  // namespace paddock::php_worker::programs
