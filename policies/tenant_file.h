// Reads one tenant again. Reading all of ten thousand files takes a fifth of a second; one takes none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policies/config.h"
#include "policies/diagnostic.h"
#include "policies/machine.h"

namespace paddock::policies {

struct LoadedTenant {
  // Null: it is declared no more. Absent when one of the diagnostics is an error.
  std::optional<std::shared_ptr<const Tenant>> tenant;
  std::vector<Diagnostic> diagnostics;
};

// Looks for [tenant.NAME] where `config` had it, then in a file NAME.toml beside what `config` includes,
// where one of the patterns names it too. Nothing else of that file is read: what else has changed, in it or
// elsewhere (a second declaration, a plan), load_config() finds. Changes nothing.
[[nodiscard]] LoadedTenant load_tenant(const Config &config, const std::string &name,
                                       const Machine &machine = this_machine(AccountLookup::kOneByOne));

}  // namespace paddock::policies
