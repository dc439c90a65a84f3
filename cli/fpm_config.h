// PHP-FPM's configuration as its own parser sees it: sections of directives, with where each was written.
// Format: php.ini's (parse_ini_file), restricted to what fpm_conf.c accepts.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "policies/config.h"
#include "policies/machine.h"

namespace paddock::cli {

struct FpmDirective {
  std::string name;   // "pm.max_children", or "php_value" of "php_value[memory_limit]"
  std::string key;    // "memory_limit"; empty where there are no brackets
  std::string value;  // unquoted; what PHP's parser makes of on, yes, true: "1", of off, no, none, false: ""
  policies::Location where;

  // As it was written: "php_value[memory_limit]".
  [[nodiscard]] std::string title() const;
};

struct FpmPool {
  std::string name;
  policies::Location where;
  std::vector<FpmDirective> directives;  // in the order of the files, "$pool" replaced
};

// A line whose meaning is not known to us.
struct FpmUnread {
  policies::Location where;
  std::string pool;  // whose section it is in
  std::string line;
  std::string why;
};

struct FpmConfig {
  std::vector<FpmDirective> global;
  std::vector<FpmPool> pools;
  std::vector<FpmUnread> unread;
};

// Adds the text of one file; as in FPM, a pool that is known goes on where it was left. `include` lines are
// followed, at most four deep. FPM starts a file outside of any section with [global]'s directives.
void parse_fpm_config(std::string_view text, const std::string &file, const policies::Machine &machine,
                      FpmConfig &config);

// `path`: a directory such as /etc/php/8.2/fpm/pool.d, of which the *.conf are read in the order of their
// names, or one file, such as php-fpm.conf. An Error: nothing could be read.
[[nodiscard]] Result<FpmConfig> read_fpm_config(const std::string &path, const policies::Machine &machine);

}  // namespace paddock::cli
