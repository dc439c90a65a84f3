// The dashboard's end of the control socket, as coroutines on its loop. A connection of its own for each
// question: a kill is answered only when all is dead, and shall keep no figure waiting.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "base/result.h"
#include "protocols/control/reply.h"
#include "protocols/control/request.h"

namespace paddock::dashboard {

class ControlLink {
 public:
  // The supervisor allows a user eight connections (control_server.h); two are streams.
  static constexpr int kMaxQuestions = 5;
  static constexpr std::size_t kMaxReply = std::size_t{64} << 20;

  explicit ControlLink(std::string path) : path_(std::move(path)) {}

  // EBUSY: too many questions are under way.
  boost::asio::awaitable<Result<control::Reply>> ask(
      control::Request request, std::chrono::seconds patience = std::chrono::seconds(10));

  // Calls on_reply for each line until the supervisor ends it, `patience` passes without one, or on_reply
  // says false. Why it ended.
  boost::asio::awaitable<Error> follow(control::Request request, std::chrono::seconds patience,
                                       std::function<bool(control::Reply)> on_reply);

 private:
  std::string path_;
  int questions_ = 0;
};

}  // namespace paddock::dashboard
