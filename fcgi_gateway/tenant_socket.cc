#include "fcgi_gateway/tenant_socket.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>

namespace paddock::fcgi_gateway {
namespace {

// How long a stolen connection may hold the whole gateway up.
constexpr suseconds_t kAcceptPatience = 10'000;  // microseconds

// While it lives, SIGALRM comes every kAcceptPatience. Again and again, since the first may come before
// accept(2) has begun to wait.
class AcceptTimer {
 public:
  AcceptTimer() { set(kAcceptPatience); }
  ~AcceptTimer() { set(0); }
  AcceptTimer(const AcceptTimer &) = delete;
  AcceptTimer &operator=(const AcceptTimer &) = delete;

 private:
  static void set(suseconds_t interval) {
    itimerval value{};
    value.it_interval.tv_usec = interval;
    value.it_value.tv_usec = interval;
    ::setitimer(ITIMER_REAL, &value, nullptr);
  }
};

short poll_now(BorrowedFd fd) {
  pollfd entry{fd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0 ? entry.revents : short{0};
}

int socket_option(BorrowedFd fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd.get(), SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

}  // namespace

Result<void> install_accept_timeout() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  if (::sigaction(SIGALRM, &action, nullptr) != 0) return errno_error("sigaction(SIGALRM)");
  return {};
}

Result<TenantSocket> TenantSocket::adopt(UniqueFd fd) {
  if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM ||
      socket_option(fd, SO_ACCEPTCONN) != 1)
    return Error{"adopt a tenant's socket: the descriptor is no listening Unix stream socket"};
  return TenantSocket(std::move(fd));
}

bool TenantSocket::is_shut_down() const {
  return (poll_now(fd_) & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

bool TenantSocket::has_waiting() const {
  return poll_now(fd_) == POLLIN;
}

Accepted TenantSocket::accept_waiting(std::size_t most) const {
  Accepted result;
  const AcceptTimer timer;
  while (result.connections.size() < most) {
    const short ready = poll_now(fd_);
    if ((ready & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
      result.end = AcceptEnd::kShutDown;
      return result;
    }
    if ((ready & POLLIN) == 0) return result;
    UniqueFd connection(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection.valid()) {
      result.connections.push_back(std::move(connection));
      continue;
    }
    switch (errno) {
      case ECONNABORTED:
        continue;
      case EINTR:
      case EAGAIN:
        result.end = AcceptEnd::kStolen;
        return result;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        result.end = AcceptEnd::kShortage;
        return result;
      default:
        result.end = AcceptEnd::kShutDown;
        return result;
    }
  }
  result.end = AcceptEnd::kMost;
  return result;
}

}  // namespace paddock::fcgi_gateway
