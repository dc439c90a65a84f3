// A program of Paddock's own that the supervisor keeps running (the gateway, a zygote): started with one end
// of a link, started again with back-off when it ends.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/process.h"
#include "supervisor/back_off.h"
#include "supervisor/child_watch.h"
#include "supervisor/link.h"

namespace paddock::supervisor {

class HelperProgram {
 public:
  struct Callbacks {
    std::function<void(Packet &)> on_packet;
    std::function<void()> on_down;  // it ended, or its link broke; it is started again on its own
    std::function<void()> on_gone;  // it ended after stop(); may be absent
  };

  // The program finds its link at descriptor kLinkFd, beside options.fds.
  static constexpr int kLinkFd = 3;
  HelperProgram(boost::asio::io_context &io, std::string name, SpawnOptions options, Callbacks callbacks);

  // Starts it; keeps trying when that fails.
  void start();
  // Closes its link (which is how our programs are told to end) and does not start it again.
  void stop();
  // The same for one that holds nothing and may hang: SIGKILL.
  void kill();
  // The link to it; null while it is down.
  [[nodiscard]] Link *link() const { return link_.get(); }
  [[nodiscard]] bool running() const { return watch_ != nullptr; }
  // Why it is down, where that does not pass by itself: there is no such program. Null: it may be up soon.
  [[nodiscard]] const Error *missing() const { return missing_ ? &*missing_ : nullptr; }
  [[nodiscard]] pid_t pid() const { return watch_ ? watch_->child().pid() : 0; }
  [[nodiscard]] const std::string &name() const { return name_; }

 private:
  Result<void> try_start();
  void went_down(const std::string &why);
  void ended(const ExitStatus &status);

  boost::asio::io_context &io_;
  boost::asio::steady_timer restart_timer_;
  std::string name_;
  SpawnOptions options_;
  Callbacks callbacks_;
  BackOff back_off_;
  std::shared_ptr<Link> link_;
  std::shared_ptr<ChildWatch> watch_;
  bool stopping_ = false;
  std::optional<Error> missing_;
};

}  // namespace paddock::supervisor
