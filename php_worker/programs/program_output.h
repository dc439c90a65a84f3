// The way of a program's answer to the web server: CGI's header block (RFC 3875, section 6) is read as far as
// the worker has to know it, and everything is passed on.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "php_worker/connection.h"

namespace paddock::php_worker::programs {

// Why a request was broken off by the plan's deadline.
inline constexpr std::string_view kLate = "the plan's deadline has passed";
// A program that is told to end for being late has so long, milliseconds; the keeper cuts the connection soon
// after (RequestWatch::kCutAfter).
inline constexpr int kLatePatience = 300;

class ProgramOutput {
 public:
  // A header block that is longer is refused; web servers take less.
  static constexpr std::size_t kMaxHeader = 64 * 1024;

  explicit ProgramOutput(Connection &connection) : connection_(connection) {}

  // A piece of what the program says. False: nobody wants more of it.
  bool take(std::span<const char> piece);
  // Sends what is held back, since the program pauses.
  void flush();
  // The program has said all, or as much as it will, and `why` is what went wrong; empty: nothing. Ends the
  // answer: where it did not get as far as the end of a header block with 504 if it is kLate, 400 if the
  // request's body did not come, else 500, and the log says why.
  void end_after(std::string_view why, bool body_failed);
  // The same with `status` and `text` (request_intake.h).
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
