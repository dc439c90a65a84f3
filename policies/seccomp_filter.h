// Seccomp profiles as programs for the kernel. The only code that knows libseccomp.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "policies/seccomp_profile.h"

namespace paddock::policies {

// The number of a system call on this architecture; negative where only others have it. nullopt: none has.
[[nodiscard]] std::optional<int> syscall_number(const std::string &name);
// "read"; empty where this architecture has no such call, as far as libseccomp knows.
[[nodiscard]] std::string syscall_name(int number);

// The bytes of the sock_filter array: a binary tree over the numbers (SCMP_FLTATR_CTL_OPTIMIZE 2), arguments
// looked at only for the calls that have checks. Calls of another architecture (32 bits, x32) kill the
// process: their numbers mean something else. learning: a call that no rule names runs, and the kernel logs
// it.
[[nodiscard]] Result<std::string> compile_filter(const SeccompProfile &profile, bool learning = false);

}  // namespace paddock::policies
