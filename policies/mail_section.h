// [mail]
#pragma once

#include "policies/config.h"
#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

// After [dashboard]: the accounts must differ.
void read_mail(Section &section, const Machine &machine, Config &config);

}  // namespace paddock::policies
