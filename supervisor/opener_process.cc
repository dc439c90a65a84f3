#include "supervisor/opener_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sandbox/privileges.h"

namespace paddock::supervisor {
namespace {

// It cannot fail on a descriptor that is open.
void keep_only(const MessageSocket &socket) {
  const int fd = socket.fd().get();
  [[maybe_unused]] const int code = sandbox::close_all_but(&fd, 1);
}

constexpr int kQuiet = 20;  // milliseconds
// For the supervisor to take what has been opened, milliseconds.
constexpr int kTaken = 1'000;

bool order_comes(const MessageSocket &orders, int timeout) {
  pollfd entry{orders.fd().get(), POLLIN, 0};
  return ::poll(&entry, 1, timeout) > 0;
}

// The next order, with the socket of its answer; nullopt: it was none. Ends with the supervisor.
std::optional<Packet> receive(const MessageSocket &orders) {
  auto packet = orders.receive();
  if (!packet || !*packet) ::_exit(0);
  if ((*packet)->fds.size() != 1) return std::nullopt;
  return std::move(**packet);
}

[[noreturn]] void obey(const Packet &packet) {
  const auto order = packet.as<OpenTrees>();
  if (!order) ::_exit(1);
  ::alarm(order->patience_s + 1);
  open_trees(*order, MessageSocket(UniqueFd(::fcntl(packet.fds.front().get(), F_DUPFD_CLOEXEC, 3))));
}

// Forks the child that obeys the next order, and waits until it has it. False: it could not be forked.
bool use_spare(const MessageSocket &orders) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  const UniqueFd waiting(ends[0]);
  UniqueFd until_order(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    const auto packet = receive(orders);
    until_order.reset();
    if (!packet) ::_exit(1);
    obey(*packet);
  }
  until_order.reset();
  char none = 0;
  while (::read(waiting.get(), &none, 1) < 0 && errno == EINTR) {
  }
  return true;
}

[[noreturn]] void take_orders(const MessageSocket &orders) {
  ::prctl(PR_SET_NAME, "paddock-opener");
  ::signal(SIGCHLD, SIG_IGN);  // nobody waits for them
  // What a terminal or a service manager sends to all is the supervisor's, which decides when this ends.
  for (const int ignored : {SIGHUP, SIGINT, SIGTERM, SIGUSR1}) ::signal(ignored, SIG_IGN);
  for (;;) {
    // Where nobody waits for the fork.
    if (!order_comes(orders, kQuiet) && use_spare(orders)) continue;
    const auto packet = receive(orders);
    if (!packet || ::fork() != 0) continue;  // one that fails closes the answer's socket, which says enough
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    obey(*packet);
  }
}

}  // namespace

void open_trees(const OpenTrees &order, const MessageSocket &answer) {
  keep_only(answer);
  std::vector<UniqueFd> opened;
  Opened told;
  const auto fail = [&](const Error &error) {
    told = {error.attempt, error.code, {}};
    opened.clear();
  };
  for (std::uint32_t i = 0; i < order.requests.size() && told.attempt.empty(); ++i) {
    const TreeRequest &request = order.requests[i];
    auto tree = sandbox::open_detached_tree(request.path, request.rules);
    if (tree)
      opened.push_back(std::move(*tree));
    else if (tree.error().code == ENOENT && request.may_be_missing)
      told.missing.push_back(i);
    else
      fail(tree.error());
  }
  for (const auto &link : order.networks) {
    if (!told.attempt.empty()) break;
    auto made = network::make_tenant_link(link);
    if (made)
      opened.push_back(std::move(*made));
    else
      fail(made.error());
  }
  const std::vector<BorrowedFd> fds(opened.begin(), opened.end());
  const bool sent = static_cast<bool>(answer.send(told, fds));
  // The kernel lets who is woken by a message wait for the CPU of its sender, which is expected to sleep now:
  // the end of this process takes it for a quarter of a millisecond. So not before the supervisor has closed
  // its end.
  pollfd taken{answer.fd().get(), 0, 0};
  if (sent) ::poll(&taken, 1, kTaken);
  ::_exit(sent ? 0 : 1);
}

Result<OpenerProcess> OpenerProcess::start() {
  const std::string attempt = "start the process that opens homes";
  PADDOCK_TRY(auto ends, MessageSocket::pair());
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(attempt);
  if (pid == 0) {
    keep_only(ends.second);
    take_orders(ends.second);
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) return errno_error(attempt);
  // One that does not read must not stop the supervisor.
  PADDOCK_CHECK(ends.first.set_nonblocking(true));
  return OpenerProcess(Child(pid, std::move(pidfd)), std::move(ends.first));
}

Result<void> OpenerProcess::open(const OpenTrees &order, const MessageSocket &answer) const {
  const BorrowedFd fd = answer.fd();
  return orders_.send(order, std::span(&fd, 1));
}

}  // namespace paddock::supervisor
