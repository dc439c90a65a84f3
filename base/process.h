// Child processes, known by pidfd: a number that the kernel could have given to somebody else is never
// signalled.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock {

// How a child ended.
struct ExitStatus {
  bool signaled = false;
  int code = 0;  // exit status, or the signal's number

  [[nodiscard]] bool success() const { return !signaled && code == 0; }
  // "exit status 3", "signal 9 (Killed)"
  [[nodiscard]] std::string to_string() const;
};

class Child {
 public:
  Child() = default;
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Readable (EPOLLIN) once the process has ended.
  [[nodiscard]] BorrowedFd pidfd() const { return pidfd_; }
  [[nodiscard]] bool valid() const { return pidfd_.valid(); }

  // pidfd_send_signal(2); ESRCH once it has been reaped.
  Result<void> signal(int number) const;
  // The same for its process group (SpawnOptions::own_group). Only before it has been reaped: by number.
  void signal_group(int number) const;
  // Reaps it if it has ended (waitid(2), P_PIDFD, __WALL: children that were cloned with no exit signal too).
  // nullopt: still running. Works only in the process that is its parent.
  [[nodiscard]] Result<std::optional<ExitStatus>> try_reap() const;
  // Blocks until it has ended, and reaps it. For programs that have nothing else to do.
  [[nodiscard]] Result<ExitStatus> wait() const;

 private:
  pid_t pid_ = 0;
  UniqueFd pidfd_;
};

// What a program that is started inherits besides its arguments.
struct SpawnOptions {
  // [0] is the program's path, which only the caller needs to be able to search: an ELF program is executed
  // through a descriptor where `uid` may not go that way.
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // NAME=value; nothing else is inherited
  std::vector<std::pair<BorrowedFd, int>>
      fds;                   // {ours, its number there}; every other descriptor is closed by exec
  std::optional<uid_t> uid;  // with gid and no supplementary groups
  std::optional<gid_t> gid;
  BorrowedFd cgroup;            // CLONE_INTO_CGROUP, where valid
  std::string directory;        // where it starts; empty: where the caller is
  bool own_group = false;       // a process group of its own: it and its children can be signalled at once
  bool die_with_parent = true;  // PR_SET_PDEATHSIG SIGKILL
  bool no_new_privs = true;     // set-user-ID bits and file capabilities give it nothing (prctl(2))
};

// clone3(2) with CLONE_PIDFD, then execve(2). Where a filter refuses clone3(2) (it cannot see its arguments),
// and no cgroup is asked for, fork(2) and pidfd_open(2). An exec that fails is reported here, not by the
// child's status.
[[nodiscard]] Result<Child> spawn(const SpawnOptions &options);

}  // namespace paddock
