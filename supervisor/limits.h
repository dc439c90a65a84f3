// A plan's limits in the terms of the cgroups layer.
#pragma once

#include "cgroups/limits.h"
#include "policies/config.h"

namespace paddock::supervisor {

[[nodiscard]] cgroups::Limits cgroup_limits(const policies::Limits &limits);

}  // namespace paddock::supervisor
