// `paddock token` and `paddock link`: ways into the dashboard.
#pragma once

#include <string>

#include "cli/session.h"

namespace paddock::cli {

// Makes a token for "admin" or "metrics", keeps its hash in the config's dashboard.token_file, and prints it:
// it is told this once. Whoever may write there.
ExitStatus token(const Session &session, const std::string &role);
ExitStatus link(const Session &session, const std::string &tenant);

}  // namespace paddock::cli
