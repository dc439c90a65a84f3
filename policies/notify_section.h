// [notify]: which events somebody is told of, and how.
#pragma once

#include "policies/config.h"
#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

void read_notify(Section &section, const Machine &machine, Notify &notify);

}  // namespace paddock::policies
