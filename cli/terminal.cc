#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "base/file.h"

namespace paddock::cli {
namespace {

// Standard input's terminal without echo, line editing and signals, as long as this lives.
class Raw {
 public:
  Raw() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  }
  ~Raw() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  Raw(const Raw &) = delete;
  Raw &operator=(const Raw &) = delete;

 private:
  termios before_{};
  bool changed_ = false;
};

void copy_size(BorrowedFd to) {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ::ioctl(to.get(), TIOCSWINSZ, &size);
}

// False: the source has ended.
bool carry(int from, BorrowedFd to) {
  std::array<char, 4096> buffer;
  const ssize_t got = ::read(from, buffer.data(), buffer.size());
  return got > 0 && write_all(to, std::string_view(buffer.data(), static_cast<std::size_t>(got))).ok();
}

}  // namespace

Result<Terminal> Terminal::open() {
  Terminal terminal;
  terminal.master_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.master_.valid() || ::unlockpt(terminal.master_.get()) != 0)
    return errno_error("make a terminal");
  // By the master, not by its name: /dev/pts may be another one's.
  terminal.slave_.reset(::ioctl(terminal.master_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave_.valid()) return errno_error("open the terminal's other end");
  copy_size(terminal.master_);
  return terminal;
}

Result<paddock::ExitStatus> Terminal::relay(Child &child) {
  sigset_t resized;
  sigemptyset(&resized);
  sigaddset(&resized, SIGWINCH);
  ::sigprocmask(SIG_BLOCK, &resized, nullptr);
  const UniqueFd signals(::signalfd(-1, &resized, SFD_CLOEXEC | SFD_NONBLOCK));
  const Raw raw;
  std::array<pollfd, 4> waiting = {{{STDIN_FILENO, POLLIN, 0},
                                    {master_.get(), POLLIN, 0},
                                    {signals.get(), POLLIN, 0},
                                    {child.pidfd().get(), POLLIN, 0}}};
  for (;;) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR)
      return errno_error("wait for the terminal");
    if (waiting[2].revents != 0) {
      signalfd_siginfo ignored{};
      while (::read(signals.get(), &ignored, sizeof ignored) > 0) {
      }
      copy_size(master_);
    }
    if (waiting[0].revents != 0 && !carry(STDIN_FILENO, master_)) waiting[0].fd = -1;
    // EIO: nobody has the other end open any more.
    if (waiting[1].revents != 0 && !carry(master_.get(), BorrowedFd(STDOUT_FILENO))) waiting[1].fd = -1;
    if (waiting[3].revents == 0) continue;
    // What it wrote last.
    pollfd rest{master_.get(), POLLIN, 0};
    while (waiting[1].fd >= 0 && ::poll(&rest, 1, 0) > 0 && (rest.revents & POLLIN) != 0 &&
           carry(master_.get(), BorrowedFd(STDOUT_FILENO))) {
    }
    PADDOCK_TRY(const auto status, child.try_reap());
    if (status) return *status;
  }
}

}  // namespace paddock::cli
