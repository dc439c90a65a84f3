// `paddock status`, and the commands that change a tenant's state.
#pragma once

#include "cli/session.h"

namespace paddock::cli {

// tenant empty: a table of all.
ExitStatus status(const Session &session, const std::string &tenant);

// start, stop, restart, kill, freeze, thaw, block, unblock.
ExitStatus act(const Session &session, const control::Request &request);

// tenant empty: all.
ExitStatus reload(const Session &session, const std::string &tenant);

// What `status` prints of one tenant, and of several. `now`: seconds since the epoch.
[[nodiscard]] std::string describe(const control::TenantStatus &tenant, std::int64_t now);
[[nodiscard]] std::string overview(const std::vector<control::TenantStatus> &tenants, std::int64_t now);

}  // namespace paddock::cli
