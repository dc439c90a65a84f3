// Reads [tenant.NAME].
#pragma once

#include "policies/entries.h"

namespace paddock::policies {

// Fills `tenant` (its name is set), but for whether its plan exists. `config` holds runtime and apache user
// already.
void read_tenant(Section &section, const Config &config, const Machine &machine, Tenant &tenant);

// Complains where `config`, which has all plans, has none of that name.
void check_plan(Section &section, const Config &config, const Tenant &tenant);

}  // namespace paddock::policies
