// A command inside a sandbox that runs: what `paddock shell TENANT` is made of.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::sandbox {

struct EnterSpec {
  BorrowedFd keeper;  // the pidfd of the sandbox's pid 1
  BorrowedFd cgroup;  // the tenant's cgroup; invalid: the caller's
  uid_t uid = 0;
  gid_t gid = 0;
  std::string directory = "/";           // working directory, in the view
  std::vector<std::string> arguments;    // [0] is a path in the view
  std::vector<std::string> environment;  // NAME=value; nothing else is inherited
  std::array<BorrowedFd, 3> stdio;       // invalid: /dev/null
  bool terminal = false;                 // stdio[0] becomes the controlling terminal of the new session
  const sock_fprog *seccomp = nullptr;   // as SandboxSpec::seccomp
};

// Starts the command as a child of the caller in all namespaces of `keeper` (setns(2) on a pidfd, Linux 5.8),
// with the rights that spawn() leaves: the tenant's uid and gid, no capability, no_new_privs, own session and
// session keyring. The caller must be root in the sandbox's parent user namespace and have one thread. An
// exec that fails is an Error here.
[[nodiscard]] Result<Child> enter(const EnterSpec &spec);

}  // namespace paddock::sandbox
