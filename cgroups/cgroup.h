// One cgroup of the v2 hierarchy, held by its directory: a cgroup of the same name that is made after this
// one was removed is never mistaken for it.
//
// Calls act on the kernel at once. Closing the handle changes nothing there: removal is explicit (remove()).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/limits.h"
#include "cgroups/stats.h"

namespace paddock::cgroups {

class Hierarchy;

class Cgroup {
 public:
  Cgroup() = default;

  // For CLONE_INTO_CGROUP and for sending; O_RDONLY|O_DIRECTORY.
  [[nodiscard]] BorrowedFd directory() const { return directory_; }
  [[nodiscard]] bool valid() const { return directory_.valid(); }
  // Below the cgroup2 mount, with a leading '/': "/paddock/tenants/alice".
  [[nodiscard]] const std::string &path() const { return path_; }

  // Makes the kernel hold the cgroup to exactly these (those that are absent go back to the default). Live:
  // running processes included. When the kernel refuses one, those written before get their old values back,
  // and the error names file, value and answer. Limits whose controller is missing here are not set:
  // Hierarchy::missing_controllers(). `refused`, where it is given, says after an error which limit it was.
  Result<void> set_limits(const Limits &limits, Refused *refused = nullptr) const;

  // Lets it use what CPU there is (cpu.max), for what must end soon: the exit of a throttled process waits
  // for the quota as its code does. Nothing happens where there is no cpu controller.
  Result<void> lift_cpu_quota() const;

  // Moves a process (all its threads) here: cgroup.procs. Prefer CLONE_INTO_CGROUP, which never has it
  // elsewhere.
  Result<void> attach(pid_t pid) const;

  // SIGKILL to every process here and below, forks in flight included (cgroup.kill, Linux 5.14). Returns at
  // once; the processes are gone when populated() is false. Thaws nothing: frozen ones die too.
  Result<void> kill() const;

  // Stops all processes here and below and waits, at most `patience`, until the kernel says they are
  // (cgroup.freeze, "frozen" in cgroup.events). ETIMEDOUT: some are not yet; the freeze stays in force.
  Result<void> freeze(std::chrono::milliseconds patience = std::chrono::seconds(2)) const;
  Result<void> thaw() const;
  [[nodiscard]] Result<bool> frozen() const;

  // Whether a process that has not been reaped as a zombie lives here or below (cgroup.events).
  [[nodiscard]] Result<bool> populated() const;
  // Waits until it is not. ETIMEDOUT.
  Result<void> wait_unpopulated(std::chrono::milliseconds patience) const;
  // cgroup.events: EPOLLPRI when populated or frozen has changed since it was last read. Read it with
  // pread(2) from 0.
  [[nodiscard]] Result<UniqueFd> open_events() const;

  // Those in this cgroup itself, by the caller's pid namespace.
  [[nodiscard]] Result<std::vector<pid_t>> processes() const;
  // Those below too.
  [[nodiscard]] Result<std::vector<pid_t>> all_processes() const;

  [[nodiscard]] Result<Stats> stats() const { return read_stats(directory_); }

  // Removes the cgroup and those below it, after waiting at most `patience` for the last process to go. EBUSY
  // or ETIMEDOUT: processes live on in it. One that is gone already is no error.
  Result<void> remove(std::chrono::milliseconds patience = std::chrono::seconds(2)) const;
  // kill(), then remove().
  Result<void> kill_and_remove(std::chrono::milliseconds patience = std::chrono::seconds(10)) const;

 private:
  friend class Hierarchy;
  Cgroup(UniqueFd directory, std::string path, std::string libcgroup_controller = {})
      : directory_(std::move(directory)),
        path_(std::move(path)),
        libcgroup_controller_(std::move(libcgroup_controller)) {}
  // libcgroup goes by names: an error (ENODEV) where the name is no longer this cgroup's.
  [[nodiscard]] Result<void> check_name() const;

  UniqueFd directory_;
  std::string path_;
  std::string libcgroup_controller_;  // one that this cgroup has, for calls by libcgroup; empty: by directory
};

}  // namespace paddock::cgroups
