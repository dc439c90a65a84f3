// [php.NAME]: a PHP beside the default one, and who may name it.
#pragma once

#include <string>

#include "policies/config.h"
#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

void read_php(Section &section, const Machine &machine, Php &php);

// Whether it is a version as "8.2", or the name of a [php.NAME].
[[nodiscard]] bool is_php(const Config &config, const std::string &name);

// Complains about `php = "NAME"` of that section where NAME is none.
void check_php(Section &section, const Config &config, const std::string &name);

}  // namespace paddock::policies
