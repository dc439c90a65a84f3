// `paddock check`: what is wrong with the config, before the supervisor sees it.
#pragma once

#include "cli/session.h"

namespace paddock::cli {

// kOk: nothing; kFailed: warnings (tenants that cannot run); kUsage: errors.
ExitStatus check(const Session &session);

}  // namespace paddock::cli
