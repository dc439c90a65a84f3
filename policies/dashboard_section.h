// Reads [dashboard].
#pragma once

#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

// After [runtime] and [apache], whose accounts the dashboard's may not be.
void read_dashboard(Section &section, const Machine &machine, Config &config);

}  // namespace paddock::policies
