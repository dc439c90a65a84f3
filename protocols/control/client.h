// The asking end of the control socket. Blocking, for programs that have nothing else to do meanwhile.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocols/control/reply.h"
#include "protocols/control/request.h"

namespace paddock::control {

class Client {
 public:
  // ENOENT, ECONNREFUSED: no supervisor listens there. EACCES, EPERM: not for this user.
  [[nodiscard]] static Result<Client> connect(const std::string &path);

  // Sends the request and waits for its answer. EAGAIN: none came within `patience`; ECONNRESET: the
  // supervisor has closed the connection. After an error the connection cannot be used any more.
  [[nodiscard]] Result<Reply> ask(const Request &request,
                                  std::chrono::seconds patience = std::chrono::seconds(60));
  // The next answer to a request that is answered again and again. Waits for ever.
  [[nodiscard]] Result<Reply> next();

 private:
  explicit Client(UniqueFd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] Result<std::string> read_line();

  UniqueFd fd_;
  std::string input_;
};

}  // namespace paddock::control
