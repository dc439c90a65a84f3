// The names of a cgroup's children.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::cgroups {

// Sorted. ENODEV or ENOENT: the cgroup has been removed.
[[nodiscard]] Result<std::vector<std::string>> child_names(BorrowedFd cgroup);

}  // namespace paddock::cgroups
