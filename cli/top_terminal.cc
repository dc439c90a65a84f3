#include "cli/top_terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>

#include "base/file.h"

namespace paddock::cli {
namespace {

constexpr const char *kEnter = "\x1b[?1049h\x1b[?25l";
constexpr const char *kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";

void write_out(const std::string &text) {
  [[maybe_unused]] const auto written = write_all(BorrowedFd(STDOUT_FILENO), text);
}

sigset_t watched() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGWINCH, SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, number);
  return set;
}

}  // namespace

Result<TopTerminal> TopTerminal::open() {
  TopTerminal terminal;
  if (::isatty(STDOUT_FILENO) == 0 || ::tcgetattr(STDIN_FILENO, &terminal.before_) != 0)
    return errno_error("use the terminal (--batch needs none)", ENOTTY);
  termios raw = terminal.before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);  // ISIG stays: Ctrl-C ends us
  raw.c_iflag &= ~static_cast<tcflag_t>(IXON);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  const sigset_t set = watched();
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return errno_error("block signals");
  terminal.signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!terminal.signals_.valid()) return errno_error("signalfd");
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return errno_error("set the terminal");
  terminal.raw_ = true;
  write_out(kEnter);
  return terminal;
}

TopTerminal::TopTerminal(TopTerminal &&other) noexcept
    : before_(other.before_),
      raw_(std::exchange(other.raw_, false)),
      signals_(std::move(other.signals_)),
      input_(std::move(other.input_)) {}

TopTerminal::~TopTerminal() {
  if (!raw_) return;
  write_out(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

TopTerminal::Size TopTerminal::size() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

void TopTerminal::draw(const std::vector<TopLine> &lines) const {
  std::string out = "\x1b[H";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\r\n";
    if (lines[i].inverse) out += "\x1b[7m";
    if (lines[i].bold) out += "\x1b[1m";
    out += lines[i].text;
    if (lines[i].inverse || lines[i].bold) out += "\x1b[0m";
    out += "\x1b[K";
  }
  out += "\x1b[J";
  write_out(out);
}

TopTerminal::Wait TopTerminal::wait(std::chrono::milliseconds patience) {
  std::array<pollfd, 2> fds{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0}};
  const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(patience.count()));
  if (ready < 0) return errno == EINTR ? Wait::kTimeout : Wait::kEnd;
  if (ready == 0) return Wait::kTimeout;
  if (fds[1].revents != 0) {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
      return Wait::kTimeout;
    return info.ssi_signo == SIGWINCH ? Wait::kResized : Wait::kEnd;
  }
  if ((fds[0].revents & POLLIN) == 0) return Wait::kEnd;
  std::array<char, 256> buffer{};
  const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (got <= 0) return Wait::kEnd;
  input_.append(buffer.data(), static_cast<std::size_t>(got));
  return Wait::kKeys;
}

std::vector<KeyPress> TopTerminal::keys() {
  return parse_keys(input_);
}

std::vector<KeyPress> parse_keys(std::string &input) {
  struct Sequence {
    std::string_view bytes;
    Key key;
  };
  // As terminals send them in both of their modes.
  static constexpr std::array kSequences = {
      Sequence{"\x1b[A", Key::kUp},   Sequence{"\x1bOA", Key::kUp},      Sequence{"\x1b[B", Key::kDown},
      Sequence{"\x1bOB", Key::kDown}, Sequence{"\x1b[5~", Key::kPageUp}, Sequence{"\x1b[6~", Key::kPageDown},
      Sequence{"\x1b[H", Key::kHome}, Sequence{"\x1bOH", Key::kHome},    Sequence{"\x1b[1~", Key::kHome},
      Sequence{"\x1b[F", Key::kEnd},  Sequence{"\x1bOF", Key::kEnd},     Sequence{"\x1b[4~", Key::kEnd},
  };
  std::vector<KeyPress> keys;
  std::string_view rest = input;
  while (!rest.empty()) {
    const char c = rest.front();
    std::size_t taken = 1;
    if (c == '\x1b' && rest.size() > 1 && (rest[1] == '[' || rest[1] == 'O')) {
      bool known = false;
      for (const auto &sequence : kSequences) {
        if (!rest.starts_with(sequence.bytes)) continue;
        keys.push_back({sequence.key, 0});
        taken = sequence.bytes.size();
        known = true;
        break;
      }
      if (!known) {
        // Skipped up to its final byte.
        taken = 2;
        while (taken < rest.size() && (rest[taken] < 0x40 || rest[taken] > 0x7e)) ++taken;
        if (taken == rest.size() && rest.size() < 16) break;  // the rest is still to come
        taken = std::min(taken + 1, rest.size());
      }
    } else if (c == '\x1b') {
      keys.push_back({Key::kEscape, 0});
    } else if (c == '\r' || c == '\n') {
      keys.push_back({Key::kEnter, 0});
    } else if (c == '\x7f' || c == '\b') {
      keys.push_back({Key::kBackspace, 0});
    } else if (c >= 0x20 && c < 0x7f) {
      keys.push_back({Key::kCharacter, c});
    }
    rest.remove_prefix(taken);
  }
  input = std::string(rest);
  return keys;
}

}  // namespace paddock::cli
