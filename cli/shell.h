// `paddock shell`: a command in a tenant's sandbox, with the rights that the tenant's PHP has.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"

namespace paddock::cli {

// Starts the sandbox if it is not running, and in it `command` (empty: /bin/sh -l in the home): in the same
// namespaces, cgroup and view, under the same seccomp profile, on a terminal of its own where standard input
// is one. Root only: to enter namespaces takes root. Returns the command's exit status, 128 + the signal that
// ended it, or an ExitStatus. While it runs the sandbox is not stopped for being idle.
int shell(const Session &session, const std::string &tenant, const std::vector<std::string> &command);

}  // namespace paddock::cli
