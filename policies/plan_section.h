// Reads [plan.NAME].
#pragma once

#include "policies/entries.h"

namespace paddock::policies {

// Overlays `plan` (the defaults, or the plan that this one inherits from) with what the section says; its
// name stays. `hidden`: as for read_binds().
void read_plan(Section &section, const std::vector<std::string> &hidden, const Machine &machine, Plan &plan);

}  // namespace paddock::policies
