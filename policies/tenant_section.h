// Reads [tenant.NAME].
#pragma once

#include "policies/entries.h"

namespace paddock::policies {

// Fills `tenant` (its name is set). Whether its plan exists is the caller's to check, who knows the plans.
// `config` holds runtime and apache user already.
void read_tenant(Section &section, const Config &config, const std::vector<std::string> &hidden,
                 const Machine &machine, Tenant &tenant);

}  // namespace paddock::policies
