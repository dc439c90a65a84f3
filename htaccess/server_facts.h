// What must be known of the Apache in front to decide <IfModule>, <IfDefine>, <IfVersion> and ${NAME} as it
// does.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace paddock::htaccess {

struct ServerVersion {
  int major = 2;
  int minor = 4;
  std::optional<int> patch;  // nullopt: not known; then what depends on it is undecidable
};

struct ServerFacts {
  ServerVersion version;
  // All loaded modules, each as "mod_rewrite.c" and "rewrite_module" (`apachectl -M`). nullopt: not known;
  // then those that every Debian server has are taken as loaded, and the rest is undecidable. mod_php's own
  // names (mod_php.c, mod_php5.c, mod_php7.c, php_module, …) always count as loaded: Paddock stands in for
  // it.
  std::optional<std::set<std::string>> modules;
  // `Define NAME VALUE` of the server's config, and -D NAME with an empty value.
  std::map<std::string, std::string> defines;
};

// nullopt: undecidable.
using Decision = std::optional<bool>;

[[nodiscard]] Decision module_is_loaded(const ServerFacts &facts, std::string_view name);
// `arguments` of <IfVersion ARGUMENTS, with the closing '>' (mod_version). Error: Apache's own words.
[[nodiscard]] Result<Decision> version_matches(const ServerFacts &facts, std::string_view arguments);
// `line` with every ${NAME} that is defined replaced; `unknown` says whether others are left.
[[nodiscard]] std::string resolve_defines(const ServerFacts &facts, std::string_view line, bool &unknown);

}  // namespace paddock::htaccess
