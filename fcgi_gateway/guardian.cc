#include "fcgi_gateway/guardian.h"

#include <linux/sched.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "protocols/gateway_link/inheritance.h"
#include "protocols/handoff/handoff.h"

namespace paddock::fcgi_gateway {
namespace {

using namespace std::chrono_literals;

// In which the next gateway has to be there. What it has not taken by then is lost.
constexpr unsigned kPatienceSeconds = 60;
// Where no process can be made, the gateway goes on without one.
constexpr auto kRetry = 1s;

// The clone is of the whole memory, and of none of the other things that a process has.
pid_t fork_sharing_descriptors() {
  clone_args arguments{};
  arguments.flags = CLONE_FILES;
  arguments.exit_signal = SIGCHLD;
  return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

// What the guardian does once the gateway is gone. Everything that it sends is the sender's no longer: the
// connections are closed with this process.
class Bequest {
 public:
  Bequest(const Ledger &ledger, const MessageSocket &to) : ledger_(ledger), to_(to) {}

  void pass_on() {
    for (int fd = 0; fd < ledger_.end() && !over_; ++fd) {
      const Ledger::Entry &entry = *ledger_.find(fd);
      switch (entry.kind.load(std::memory_order_acquire)) {
        case Ledger::Kind::kNothing:
          break;
        case Ledger::Kind::kRequest:
          request(name_of(entry), fd, entry.files);
          break;
        case Ledger::Kind::kAnswer:
          answer(name_of(entry), fd, entry.files[0], static_cast<std::uint64_t>(entry.offset),
                 entry.request_over);
          break;
        case Ledger::Kind::kSandbox:
          gifts_of(name_of(entry), fd);
          break;
      }
    }
  }

 private:
  static std::string name_of(const Ledger::Entry &entry) { return entry.tenant.data(); }

  void request(const std::string &tenant, int connection, const Ledger::Files &files) {
    std::vector<BorrowedFd> fds{BorrowedFd(connection)};
    for (const int file : files)
      if (file >= 0) fds.emplace_back(file);
    over_ = !to_.send(gateway_link::HeldRequest{tenant}, fds);
  }

  void answer(const std::string &tenant, int connection, int file, std::uint64_t offset, bool request_over) {
    const std::vector<BorrowedFd> fds{BorrowedFd(connection), BorrowedFd(file)};
    over_ = !to_.send(gateway_link::HeldAnswer{tenant, offset, request_over}, fds);
  }

  // What a worker had given away, and the gateway had not taken yet. As Admission::take_gift().
  void gifts_of(const std::string &tenant, int socket) {
    const MessageSocket handoff{UniqueFd(socket)};  // non-blocking since its gateway took it
    for (;;) {
      const auto packet = handoff.receive();
      if (!packet || !packet->has_value()) return;
      const std::vector<UniqueFd> &fds = (*packet)->fds;
      const auto slow = (*packet)->as<handoff::Slow>();
      const auto unread = (*packet)->as<handoff::Unread>();
      if (slow && (fds.size() == 1 || fds.size() == 2)) {
        // What is unsealed its sandbox could make the next gateway wait for; that takes our word for it.
        if (fds.size() == 2 && !handoff::sealed_size(fds[1])) continue;
        const UniqueFd head(::memfd_create("paddock-head", MFD_CLOEXEC));
        if (!head.valid() || !write_all(head, slow->received)) continue;
        request(tenant, fds[handoff::kConnectionFd].get(),
                {slow->received.empty() ? -1 : head.get(), fds.size() == 2 ? fds[1].get() : -1, -1});
      } else if (unread && fds.size() == 2) {
        answer(tenant, fds[handoff::kConnectionFd].get(), fds[1].get(), unread->offset, unread->request_over);
      }
    }
  }

  const Ledger &ledger_;
  const MessageSocket &to_;
  bool over_ = false;  // nobody is there to take it, nor will be
};

[[noreturn]] void guard(const Ledger &ledger, BorrowedFd gateway, const Inheritance &inheritance) {
  ::prctl(PR_SET_NAME, "paddock-guardian");
  for (const int number : {SIGINT, SIGHUP}) ::signal(number, SIG_IGN);
  ::signal(SIGALRM, SIG_DFL);
  pollfd ended{gateway.get(), POLLIN, 0};
  while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  // Its descriptors are ours alone now. Without this end, nobody has it where no gateway will come.
  ::close(inheritance.out.fd().get());
  ::alarm(kPatienceSeconds);
  Bequest(ledger, inheritance.in).pass_on();
  ::_exit(0);
}

}  // namespace

Guardian::~Guardian() {
  loop_.cancel(timer_);
  if (child_.valid()) loop_.unwatch(child_);
}

Result<void> Guardian::start() {
  gateway_.reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!gateway_.valid()) return errno_error("pidfd_open of the gateway");
  return fork();
}

Result<void> Guardian::fork() {
  const pid_t pid = fork_sharing_descriptors();
  if (pid < 0) return errno_error("clone the guardian");
  if (pid == 0) guard(ledger_, gateway_, inheritance_);
  pid_ = pid;
  child_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!child_.valid()) return errno_error("pidfd_open of the guardian");
  return loop_.watch(child_, EPOLLIN, [this](std::uint32_t) {
    loop_.unwatch(child_);
    child_.reset();
    ::waitpid(pid_, nullptr, 0);
    log::warning("the guardian has died; another takes its place");
    start_again();
  });
}

void Guardian::start_again() {
  timer_ = 0;
  const auto forked = fork();
  if (forked) return;
  log::error(forked.error().message());
  timer_ = loop_.after(kRetry, [this] { start_again(); });
}

}  // namespace paddock::fcgi_gateway
