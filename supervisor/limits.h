// A plan's limits in the terms of the cgroups layer.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "cgroups/hierarchy.h"
#include "cgroups/limits.h"
#include "policies/config.h"

namespace paddock::supervisor {

[[nodiscard]] cgroups::Limits cgroup_limits(const policies::Limits &limits);

// Cgroup::set_limits() with a plan's. Where the kernel refuses one, the error names the place in the config
// that sets it, too.
Result<void> set_limits(const cgroups::Cgroup &cgroup, const policies::Plan &plan);

// The plans whose limits the kernel refuses, by name, with its answer. Each is tried on a cgroup that nobody
// is in.
[[nodiscard]] std::map<std::string, Error> try_limits(const cgroups::Hierarchy &hierarchy,
                                                      const policies::Config &config);

}  // namespace paddock::supervisor
