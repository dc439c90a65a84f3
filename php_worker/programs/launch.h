// Starting a program of the tenant's from a process of its sandbox.
#pragma once

#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "php_worker/params.h"

namespace paddock::php_worker::programs {

// What programs find in their environment: this process's own, and, where there are some, a request's
// variables (RFC 3875, section 4.1), which win.
[[nodiscard]] std::vector<std::string> program_environment(const Params *params = nullptr);

// The directory that a script runs in (RFC 3875, section 7.2).
[[nodiscard]] std::string directory_of(const std::string &path);

// In a process group of its own. Waits for an end that is asked for: SIGTERM, and SIGKILL if that has not
// helped after `patience` milliseconds; reaped. What is left of the group is killed.
void end_program(Child &child, int patience);

}  // namespace paddock::php_worker::programs
