// Reads [plan.NAME].
#pragma once

#include "policies/entries.h"
#include "policies/seccomp_profile.h"

namespace paddock::policies {

// Overlays `plan` (the defaults, or the plan that this one inherits from) with what the section says; its
// name stays. `hidden`: as for read_binds(). `diagnostics`: the section's own, for the profiles' files.
void read_plan(Section &section, const std::vector<std::string> &hidden, const Machine &machine,
               SeccompProfiles &profiles, std::vector<Diagnostic> &diagnostics, Plan &plan);

}  // namespace paddock::policies
