// The table in the kernel, by libnftables. Needs CAP_NET_ADMIN, and works on the network namespace of the
// caller.
#pragma once

#include <string>

#include "base/result.h"

namespace paddock::network {

// Runs commands of nft(8) in one transaction: all of them, or none. The Error has nft's own words.
Result<void> apply_ruleset(const std::string &commands);

// Whether the table is there: somebody's `nft flush ruleset` takes it away.
[[nodiscard]] Result<bool> table_exists();

// Without an error if there is none.
Result<void> remove_table();

}  // namespace paddock::network
