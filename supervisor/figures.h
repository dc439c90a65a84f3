// The kernel's figures of a cgroup in the terms of the books.
#pragma once

#include "accounting/counters.h"
#include "cgroups/stats.h"

namespace paddock::supervisor {

// Those of Source::kKernel; 0 for what the kernel does not have.
[[nodiscard]] accounting::Counters counters_of(const cgroups::Stats &stats);
[[nodiscard]] accounting::Gauges gauges_of(const cgroups::Stats &stats);

}  // namespace paddock::supervisor
