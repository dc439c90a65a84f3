// A connection whose request the gateway refuses: reads what it must, keeps nothing, answers, closes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "fcgi_gateway/refusal.h"
#include "protocols/fastcgi/request_assembler.h"

namespace paddock::fcgi_gateway {

// Answers as soon as the params are complete, long before a body is: whoever uploads gigabytes learns at once
// that it is in vain. Then it reads on through the empty STDIN, since mod_proxy_fcgi sends that one in a
// write of its own and turns an answered request into an error when that write fails (EPIPE).
class RefusedConnection {
 public:
  enum class Wants : std::uint8_t {
    kRead,   // call advance() when it is readable
    kWrite,  // … when it is readable or writable
    kTurn,   // … again soon: there is more to read, but others want to be served too
    kClose,  // over
  };

  // fd: a non-blocking stream socket. response: a CGI response of at most 65,535 bytes. After reading
  // `discard_limit` bytes the connection is given up. progress: how far somebody else has read the request;
  // null: not at all. response: null where the request has been answered, and only its rest is to be read.
  RefusedConnection(UniqueFd fd, std::shared_ptr<const Response> response, std::uint64_t discard_limit,
                    std::unique_ptr<fastcgi::RequestAssembler> progress = nullptr);

  // Reads and writes as far as it can without waiting, and no more than a bounded number of bytes.
  [[nodiscard]] Wants advance();

  [[nodiscard]] BorrowedFd fd() const { return fd_; }
  // The refusal was handed to the kernel, wholly.
  [[nodiscard]] bool answered() const { return answered_ && out_.empty(); }
  // Why a connection was closed that got no refusal; for the log, no text of the peer's in it.
  [[nodiscard]] std::string_view problem() const { return problem_; }
  // Null: there was nothing to refuse.
  [[nodiscard]] const Response *response() const { return response_.get(); }

 private:
  Wants consume(std::span<const std::uint8_t> input);
  Wants flush(Wants otherwise);
  Wants give_up(std::string_view problem);
  void answer();

  UniqueFd fd_;
  std::shared_ptr<const Response> response_;
  std::uint64_t discard_left_;
  fastcgi::RequestAssembler assembler_;
  std::string out_;             // not sent yet
  bool answered_ = false;       // the refusal is in out_, or sent
  bool request_ended_ = false;  // nothing of the request is left on the wire
  bool unparsed_ = false;       // after an error behind the answer: bytes are thrown away unread
  std::string_view problem_;
};

}  // namespace paddock::fcgi_gateway
