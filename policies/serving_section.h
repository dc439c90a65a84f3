// The keys of a plan that say how requests are served.
#pragma once

#include "policies/config.h"
#include "policies/section.h"

namespace paddock::policies {

// The keys are the plan's own, beside the others.
void read_serving(Section &section, Serving &serving);

}  // namespace paddock::policies
