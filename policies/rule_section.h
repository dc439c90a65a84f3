// Reads a [rule.NAME] of the config.
#pragma once

#include <map>

#include "policies/config.h"
#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

// `config`: with its plans and tenants. Nothing where the section has an error.
void read_rule(Section &section, const std::string &name, const Machine &machine, Config &config);

}  // namespace paddock::policies
