// `paddock doctor`: whether this machine can do what the config asks for, and how to mend what is missing.
#pragma once

#include "cli/session.h"

namespace paddock::cli {

// kFailed where something was found. Changes nothing.
ExitStatus doctor(const Session &session);

}  // namespace paddock::cli
