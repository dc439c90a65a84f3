// libcgroup, as far as it does what we need on a pure cgroup v2 host. The only user of its headers.
//
// What it is not used for, and why (libcgroup 2.0.2, by its source and by trial on Linux 6.1):
//   hybrid hosts        it writes into the v1 hierarchies, which are not ours
//   BASE and what is    without a controller it creates and attaches nothing, and says it did; with one it
//   writes directly below      "+controller" into every ancestor, which the kernel refuses while BASE holds a
//   process (EBUSY).
//                       Tenants' cgroups come later, when each ancestor passes the controllers down already
//   reading             values of v2 are not found
//   kill, freeze, events, pressure, nested removal    it does not know them
// A `name` is a cgroup's path below the mount, without a leading '/'; `controller` is one that the cgroup
// has.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace paddock::cgroups::libcgroup {

// Makes the cgroup `name`, whose parent exists and passes `controller` down; no error where it is there
// already.
Result<void> create(const std::string &name, const std::string &controller);

// Writes one control file: controller "memory", file "memory.max". The error's code is the kernel's answer.
Result<void> set_value(const std::string &name, const std::string &controller, const std::string &file,
                       const std::string &value);

// Moves a process.
Result<void> attach(const std::string &name, const std::string &controller, pid_t pid);

}  // namespace paddock::cgroups::libcgroup
