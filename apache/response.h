// PHP's answer on its way to the client: the header block is judged, the body passed on. Nothing here waits
// for the client unless httpd itself has to (see quiet_output.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "apache/apache.h"
#include "apache/host.h"

namespace paddock::apache {

class Response {
 public:
  // A header block beyond this, or a line of it beyond httpd's own buffer, is no answer.
  static constexpr std::size_t kMaxHeader = 128 * 1024;
  static constexpr std::size_t kMaxLine = 8000;

  Response(request_rec *r, const HostTenant &tenant) : r_(r), tenant_(tenant) {}

  // A piece of PHP's output. False: the request is over; outcome() says how.
  bool take(std::span<const char> data);
  // The output has ended as it should.
  void end();
  // It has not.
  void fail(int status);

  [[nodiscard]] bool headers_passed() const { return state_ != State::kHeader; }
  // What a handler returns: OK, or a status that httpd makes an error page of.
  [[nodiscard]] int outcome() const { return outcome_; }
  // Something was passed on that PHP may have flushed.
  [[nodiscard]] bool has_unflushed() const { return unflushed_; }
  void flush();

 private:
  enum class State : std::uint8_t { kHeader, kBody, kIgnored };

  bool take_header(std::span<const char> data);
  bool judge_header(std::size_t size);
  bool refuse(const char *what);
  bool take_length();
  bool send_file(const char *path);
  bool pass(std::span<const char> data);
  bool pass_brigade();
  void break_off();
  apr_bucket_brigade *brigade();

  request_rec *r_;
  const HostTenant &tenant_;
  State state_ = State::kHeader;
  int outcome_ = OK;
  bool unflushed_ = false;
  bool ended_ = false;
  std::string header_;
  bool length_known_ = false;
  std::uint64_t length_left_ = 0;  // of what Content-Length promised
  apr_bucket_brigade *brigade_ = nullptr;
};

}  // namespace paddock::apache
