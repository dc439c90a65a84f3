// What the web server's module has refused itself (refusal_report.h), for the tenants' figures.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/event_loop.h"
#include "base/message_socket.h"
#include "base/result.h"

namespace paddock::fcgi_gateway {

class RefusalReports {
 public:
  using Callback = std::function<void(const std::string &tenant, const std::string &reason, std::uint32_t)>;

  explicit RefusalReports(EventLoop &loop) : loop_(loop) {}
  ~RefusalReports() { stop(); }
  RefusalReports(const RefusalReports &) = delete;
  RefusalReports &operator=(const RefusalReports &) = delete;

  // socket: a bound, non-blocking SOCK_DGRAM socket. What is malformed is passed over: whoever may write to
  // it can only make figures wrong.
  Result<void> start(UniqueFd socket, Callback callback);

 private:
  void receive();
  void stop();

  EventLoop &loop_;
  MessageSocket socket_;
  Callback callback_;
};

}  // namespace paddock::fcgi_gateway
