// Reads [runtime] and [apache].
#pragma once

#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

// run_dir, state_dir and log_dir.
void read_directories(Section &section, Runtime &runtime);
void read_runtime(Section &section, const Machine &machine, Runtime &runtime);
void read_apache(Section &section, const Machine &machine, Config &config);

}  // namespace paddock::policies
