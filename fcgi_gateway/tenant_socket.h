// A tenant's listening socket as the gateway holds it: a duplicate of the descriptor that the sandbox's
// workers accept on, so whatever they do to the open file description (fcntl, shutdown, setsockopt) happens
// to ours too.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::fcgi_gateway {

// What accept_waiting() ended on.
enum class AcceptEnd {
  kEmpty,     // nothing waits any more
  kMost,      // as many as asked for; more may wait
  kStolen,    // somebody else accepted what poll(2) had announced, and accept(2) would have waited
  kShortage,  // no descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM): worth another try later
  kShutDown,  // the socket was shut down or is no listening socket any more: no use in trying again
};

struct Accepted {
  std::vector<UniqueFd> connections;  // SOCK_NONBLOCK|SOCK_CLOEXEC
  AcceptEnd end = AcceptEnd::kEmpty;
};

class TenantSocket {
 public:
  TenantSocket() = default;
  // Error: not a listening AF_UNIX SOCK_STREAM socket.
  [[nodiscard]] static Result<TenantSocket> adopt(UniqueFd fd);

  // Accepts what waits, at most `most` connections. Returns within milliseconds, though the socket may be a
  // blocking one (workers want it so) or be made one by a tenant at any moment: accept(2) has no flag that
  // would say "do not wait", so an interval timer interrupts one that does. Needs install_accept_timeout()
  // once before.
  [[nodiscard]] Accepted accept_waiting(std::size_t most) const;

  // A connection waits to be accepted.
  [[nodiscard]] bool has_waiting() const;

  // True where nothing can be accepted from it ever again: some holder of the socket called shutdown(2).
  [[nodiscard]] bool is_shut_down() const;

  [[nodiscard]] BorrowedFd fd() const { return fd_; }

 private:
  explicit TenantSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Gives SIGALRM a handler that does nothing (without SA_RESTART), so that it interrupts accept(2). Once a
// process.
Result<void> install_accept_timeout();

}  // namespace paddock::fcgi_gateway
