// A program that listens at a path of its own and serves all of a sandbox's workers: another PHP's php-fpm,
// gunicorn with a FastCGI front. The keeper's child, started with the sandbox and anew when it ends.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/process.h"
#include "php_worker/log_relay.h"

namespace paddock::php_worker::programs {

class SharedProgram {
 public:
  // An empty command: there is none, and nothing below does anything.
  SharedProgram(EventLoop &loop, LogRelay &relay, std::vector<std::string> command)
      : loop_(loop), relay_(relay), command_(std::move(command)) {}

  void start();
  // SIGTERM; it is not started again.
  void end();
  void kill();
  [[nodiscard]] bool running() const { return pid_ != 0; }
  // A child of the keeper that was no worker was reaped. True: it was this one.
  bool ended(pid_t pid, const ExitStatus &status);

 private:
  EventLoop &loop_;
  LogRelay &relay_;
  std::vector<std::string> command_;
  pid_t pid_ = 0;  // the keeper reaps every child itself: until then the number is this one's
  EventLoop::Clock::time_point started_;
  EventLoop::Clock::duration pause_{};
  bool ending_ = false;
};

}  // namespace paddock::php_worker::programs
