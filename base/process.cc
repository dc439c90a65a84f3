#include "base/process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace paddock {
namespace {

// In the child between clone and exec: system calls only. `numbers` are the descriptors as the program wants
// them.
int exec_child(const SpawnOptions &options, int program, char *const *argv, char *const *envp,
               const std::vector<int> &sources) {
  // The supervisor blocks what it reads through a signalfd; a program starts with nothing blocked or ignored.
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);

  if (options.die_with_parent && ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  // Libraries open descriptors without CLOEXEC (Asio its sockets); dup2 leaves it off for those that are
  // meant.
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return errno;
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (::dup2(sources[i], options.fds[i].second) < 0) return errno;
  if (options.own_group && ::setpgid(0, 0) != 0) return errno;
  if (options.gid) {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(*options.gid, *options.gid, *options.gid) != 0)
      return errno;
  }
  if (options.uid) {
    if (::setresuid(*options.uid, *options.uid, *options.uid) != 0) return errno;
    // setresuid clears the parent-death signal (prctl(2)).
    if (options.die_with_parent && ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  }
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) return errno;
  if (options.no_new_privs && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  ::execve(argv[0], argv, envp);
  // The account may execute the program but not search the way to it: a tree below /root, or a home of mode
  // 0700.
  if (errno == EACCES) ::execveat(program, "", argv, envp, AT_EMPTY_PATH);
  return errno;
}

std::vector<char *> pointers(const std::vector<std::string> &strings) {
  std::vector<char *> result;
  for (const auto &string : strings) result.push_back(const_cast<char *>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

std::string ExitStatus::to_string() const {
  if (!signaled) return "exit status " + std::to_string(code);
  const char *name = ::strsignal(code);
  return "signal " + std::to_string(code) + " (" + (name != nullptr ? name : "?") + ")";
}

Result<void> Child::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0)
    return errno_error("send signal " + std::to_string(number) + " to process " + std::to_string(pid_));
  return {};
}

void Child::signal_group(int number) const {
  ::kill(-pid_, number);
}

Result<std::optional<ExitStatus>> Child::try_reap() const {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG | __WALL) != 0)
    return errno_error("wait for process " + std::to_string(pid_));
  if (info.si_pid == 0) return std::optional<ExitStatus>{};
  return std::optional(ExitStatus{info.si_code != CLD_EXITED, info.si_status});
}

Result<ExitStatus> Child::wait() const {
  pollfd ended{pidfd_.get(), POLLIN, 0};
  while (::poll(&ended, 1, -1) < 0)
    if (errno != EINTR) return errno_error("wait for process " + std::to_string(pid_));
  PADDOCK_TRY(const auto status, try_reap());
  if (!status) return errno_error("wait for process " + std::to_string(pid_), ECHILD);
  return *status;
}

Result<Child> spawn(const SpawnOptions &options) {
  const auto argv = pointers(options.arguments);
  const auto envp = pointers(options.environment);
  const UniqueFd program(::open(argv[0], O_PATH | O_CLOEXEC));
  if (!program.valid()) return errno_error("start " + options.arguments.front());

  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return errno_error("pipe2");
  const UniqueFd report_read(report[0]);
  UniqueFd report_write(report[1]);

  // Lifted above every target number, so that no dup2 in the child overwrites a source.
  int highest = 2;
  for (const auto &[ours, theirs] : options.fds) highest = std::max(highest, theirs);
  std::vector<UniqueFd> lifted;
  std::vector<int> sources;
  for (const auto &[ours, theirs] : options.fds) {
    UniqueFd copy(::fcntl(ours.get(), F_DUPFD_CLOEXEC, highest + 1));
    if (!copy.valid()) return errno_error("duplicate a descriptor");
    sources.push_back(copy.get());
    lifted.push_back(std::move(copy));
  }
  UniqueFd report_lifted(::fcntl(report_write.get(), F_DUPFD_CLOEXEC, highest + 1));
  if (!report_lifted.valid()) return errno_error("duplicate a descriptor");
  report_write = std::move(report_lifted);

  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (options.cgroup.valid()) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<__u64>(options.cgroup.get());
  }
  auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0 && errno == ENOSYS && !options.cgroup.valid()) {
    pid = ::fork();
    // Not reaped before we do it: the number is its own.
    if (pid > 0) pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  }
  if (pid < 0) return errno_error("clone a process for " + options.arguments.front());
  if (pid == 0) {
    const int failure = exec_child(options, program.get(), argv.data(), envp.data(), sources);
    [[maybe_unused]] const ssize_t told = ::write(report_write.get(), &failure, sizeof failure);
    ::_exit(127);
  }
  if (pidfd < 0) {
    const Error failure = errno_error("open the pidfd of " + options.arguments.front());
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return failure;
  }
  Child child(pid, UniqueFd(pidfd));
  report_write.reset();
  int failure = 0;
  ssize_t got = 0;
  do {
    got = ::read(report_read.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof failure) {
    siginfo_t info{};
    ::waitid(P_PIDFD, static_cast<id_t>(child.pidfd().get()), &info, WEXITED | __WALL);
    return errno_error("start " + options.arguments.front(), failure);
  }
  return child;
}

}  // namespace paddock
