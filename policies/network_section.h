// Networks of tenants' own: [network], and the keys of plans that say what gets through.
#pragma once

#include <vector>

#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

// The network_… keys of a plan.
void read_egress(Section &section, Egress &egress);

// [network]
void read_network(Section &section, NatSettings &nat);

// Where a plan has network = "nat": the range must be nobody else's and large enough for the tenants. Finds
// the resolver where the config names none.
void check_network(Section &section, const Machine &machine, Config &config,
                   std::vector<Diagnostic> &diagnostics);

}  // namespace paddock::policies
