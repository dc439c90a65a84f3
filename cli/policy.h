// `paddock policy explain`: what a seccomp profile allows, and why.
#pragma once

#include <string>

#include "cli/session.h"

namespace paddock::cli {

// All of `profile`, or what it answers to the one call (a name or a number). Does not ask the supervisor:
// profiles are files, of the config's seccomp_dir or shipped.
ExitStatus explain_policy(const Session &session, const std::string &profile, const std::string &call);

}  // namespace paddock::cli
