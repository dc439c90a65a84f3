// Limits as the kernel takes them: which text goes into which file.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/limits.h"

namespace paddock::cgroups {

// One write to one file of a cgroup.
struct Setting {
  std::string controller;  // "memory"
  std::string file;        // "memory.max"
  std::string value;
  std::string previous;  // what is written to get back to what the file says now
  bool wanted = false;   // asked for, not a default: the file must exist
  std::string device;    // IoLimit::device
};

// The writes that make the cgroup hold exactly `limits`; those whose file says so already are left out, and
// so are those of controllers that the cgroup does not have. Reads the cgroup's files. Errors: an io device
// that does not exist, a weight out of range, a file that is there and cannot be read; a wanted file that
// this kernel lacks (ENOENT). `refused`, where it is given, then says which.
[[nodiscard]] Result<std::vector<Setting>> plan_settings(BorrowedFd cgroup, const Limits &limits,
                                                         Refused *refused = nullptr);

}  // namespace paddock::cgroups
