// libcgroup, as far as it does what we need on a pure cgroup v2 host. The only user of its headers.
//
// What it is not used for, and why (libcgroup 2.0.2 on Linux 6.1): reading values fails on v2; it has no
// cgroup.kill, freeze, events or pressure; it creates one level at a time. It must not be called on a hybrid
// host, where it writes into v1. Names are cgroup paths below the mount, without a leading '/'.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace paddock::cgroups::libcgroup {

// Makes the cgroup `name`, whose parent exists; no error where it is there already.
Result<void> create(const std::string &name);

// Writes one control file: controller "memory", file "memory.max". The error's code is the kernel's answer.
Result<void> set_value(const std::string &name, const std::string &controller, const std::string &file,
                       const std::string &value);

// Moves a process.
Result<void> attach(const std::string &name, pid_t pid);

}  // namespace paddock::cgroups::libcgroup
