// PHP-FPM's pools as tenants and plans. What becomes of each directive: docs/fpm-directives.md.
#pragma once

#include <string>
#include <vector>

#include "cli/fpm_config.h"
#include "cli/session.h"
#include "protocols/control/result.h"

namespace paddock::cli {

struct ImportedTenant {
  std::string name;
  std::string toml;  // its [tenant.NAME]; all of it comments where the config could not be used with it
  bool usable = true;
};

struct Import {
  std::string plans;  // TOML: [plan.fpm-...], one for each set of limits that pools share
  std::vector<ImportedTenant> tenants;
  // Every directive that was not taken over as it is, in the order of the files. kError: lost; kWarning:
  // means something else now; kOk: nothing in Paddock needs it.
  std::vector<control::Finding> notes;
};

[[nodiscard]] Import import_fpm(const FpmConfig &fpm, const policies::Machine &machine);

struct ImportOptions {
  std::string source;     // a pool.d directory, or a file
  std::string directory;  // where the files are written; empty: all to standard output
  bool replace = false;   // files that exist
};
// `paddock import fpm`: kFailed where something was lost.
ExitStatus import_fpm(const Session &session, const ImportOptions &options);

}  // namespace paddock::cli
