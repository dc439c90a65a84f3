// What plans and tenants both may have: php.ini entries, environment, binds. Each overlays what was there
// before: an entry of the same name replaces the older one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/machine.h"
#include "policies/section.h"

namespace paddock::policies {

// [….php_value] and [….php_admin_value]. `opcache.enable = 1` may be written with or without quotes around
// its name.
void read_ini(Section &section, std::vector<IniEntry> &ini);

// [….env]
void read_environment(Section &section, std::vector<std::string> &environment);

// [[….bind]]. `hidden`: directories that no sandbox may be shown, nor anything below or above them.
// `problem`: is told of a source that is missing, which is an error of the config where there is none to tell
// (a tenant may have a say in whether a path is there, and shall not keep the others from running).
void read_binds(Section &section, const std::vector<std::string> &hidden, const Machine &machine,
                std::vector<Bind> &binds, std::string *problem = nullptr);

// Of an environment variable: [A-Za-z_][A-Za-z0-9_]{0,127}.
[[nodiscard]] bool is_variable_name(std::string_view name);

// Names of plans and tenants: [a-z0-9][a-z0-9._-]{0,62}. They become parts of paths, host names and cgroups.
[[nodiscard]] bool is_valid_name(std::string_view name);
inline constexpr const char *kNameRule =
    "1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit";

}  // namespace paddock::policies
