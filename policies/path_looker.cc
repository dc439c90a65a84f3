#include "policies/path_looker.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "base/unique_fd.h"

namespace paddock::policies {
namespace {

struct Question {
  static constexpr std::uint8_t kType = 1;
  std::string path;

  template <typename Io>
  void fields(Io &io) {
    io(path);
  }
};

struct Answer {
  static constexpr std::uint8_t kType = 2;
  bool on_demand = false;  // and nothing else is known
  std::int32_t code = 0;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;

  template <typename Io>
  void fields(Io &io) {
    io(on_demand);
    io(code);
    io(mode);
    io(uid);
  }
};

// Of directories that hold homes, each is asked about once.
bool is_on_demand(const std::string &path, std::unordered_map<std::string, bool> &parents) {
  const std::string parent = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
  const auto [known, fresh] = parents.emplace(parent, false);
  if (fresh) {
    struct statfs status {};
    known->second = ::statfs(parent.c_str(), &status) == 0 && status.f_type == AUTOFS_SUPER_MAGIC;
  }
  return known->second;
}

Answer answer_to(const Question &question, std::unordered_map<std::string, bool> &parents) {
  Answer answer;
  answer.on_demand = is_on_demand(question.path, parents);
  if (answer.on_demand) return answer;
  struct stat status {};
  if (::stat(question.path.c_str(), &status) != 0) {
    answer.code = errno;
  } else {
    answer.mode = status.st_mode;
    answer.uid = status.st_uid;
  }
  return answer;
}

// In the child. Whoever made it has one thread, so that its heap is whole in here; all else of it is to be
// forgotten: a listening socket or a lock that a hung child holds would outlive it.
[[noreturn]] void answer_all(const MessageSocket &theirs) {
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1}) ::signal(number, SIG_DFL);
  const int ours = ::fcntl(theirs.fd().get(), F_DUPFD_CLOEXEC, 3);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (ours < 0 || null < 0) ::_exit(1);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, standard);
  if (ours > 3) ::close_range(3, static_cast<unsigned>(ours) - 1, 0);
  ::close_range(static_cast<unsigned>(ours) + 1, ~0U, 0);
  const MessageSocket socket{UniqueFd(ours)};
  std::unordered_map<std::string, bool> parents;
  for (;;) {
    const auto packet = socket.receive();
    if (!packet || !packet->has_value()) ::_exit(0);
    const auto question = (*packet)->as<Question>();
    if (!question || !socket.send(answer_to(*question, parents))) ::_exit(0);
  }
}

}  // namespace

std::optional<PathLooker::Look> PathLooker::cached(const std::string &path) {
  // A component that is not cached, or that its file system wants to ask about, is EAGAIN (openat2(2)).
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_CACHED;
  const UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!fd.valid()) return std::nullopt;
  struct statx status {};
  constexpr int kAskNobody = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (::statx(fd.get(), "", kAskNobody, STATX_TYPE | STATX_MODE | STATX_UID, &status) != 0)
    return std::nullopt;
  return Look{0, status.stx_mode, status.stx_uid};
}

std::optional<PathLooker::Look> PathLooker::look(const std::string &path) {
  if (out_of_patience_) return std::nullopt;
  if (!link_.valid() && !start()) return std::nullopt;
  return ask(path);
}

// Twice, so that it is not our child: one that hangs could not be waited for.
bool PathLooker::start() {
  auto ends = MessageSocket::pair();
  if (!ends) return false;
  const pid_t between = ::fork();
  if (between < 0) return false;
  if (between == 0) {
    if (::fork() == 0) answer_all(ends->second);
    ::_exit(0);
  }
  while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  link_ = std::move(ends->first);
  return true;
}

std::optional<PathLooker::Look> PathLooker::ask(const std::string &path) {
  const auto give_up = [this]() -> std::optional<Look> {
    link_.close();
    return std::nullopt;
  };
  if (!link_.send(Question{path})) return give_up();
  pollfd waiting{link_.fd().get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, static_cast<int>(patience_.count()));
  } while (ready < 0 && errno == EINTR);
  out_of_patience_ = ready == 0;
  if (ready <= 0) return give_up();
  const auto packet = link_.receive();
  if (!packet || !packet->has_value()) return give_up();
  const auto answer = (*packet)->as<Answer>();
  if (!answer) return give_up();
  if (answer->on_demand) return std::nullopt;
  return Look{answer->code, answer->mode, answer->uid};
}

}  // namespace paddock::policies
