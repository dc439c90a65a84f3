// A process that outlives the gateway, however that ends, and passes on what it held.
//
// It shares the gateway's table of descriptors (clone(2), CLONE_FILES) and its ledger, and does nothing until
// the gateway is gone: then each connection that the ledger has goes into the inheritance
// (protocols/gateway_link/inheritance.h), and it ends. It reads nothing that came from a client.
#pragma once

#include <sys/types.h>

#include "base/event_loop.h"
#include "base/message_socket.h"
#include "fcgi_gateway/ledger.h"

namespace paddock::fcgi_gateway {

// Both ends of one socket: what a gateway leaves goes in at one, and out at the other to the next gateway.
struct Inheritance {
  MessageSocket in;
  MessageSocket out;
};

class Guardian {
 public:
  // The gateway is single-threaded. Each outlives this.
  Guardian(EventLoop &loop, const Ledger &ledger, const Inheritance &inheritance)
      : loop_(loop), ledger_(ledger), inheritance_(inheritance) {}
  ~Guardian();
  Guardian(const Guardian &) = delete;
  Guardian &operator=(const Guardian &) = delete;

  // Starts it, and another one each time that it has died.
  [[nodiscard]] Result<void> start();

 private:
  [[nodiscard]] Result<void> fork();
  void start_again();

  EventLoop &loop_;
  const Ledger &ledger_;
  const Inheritance &inheritance_;
  UniqueFd gateway_;  // our own pidfd
  UniqueFd child_;
  pid_t pid_ = 0;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace paddock::fcgi_gateway
