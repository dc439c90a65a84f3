// What the programs that face tenants and the web (gateway, mail broker) give up before they read the first
// byte from there.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace paddock {

// For the calling process, which must be single-threaded, and for good: no_new_privs (prctl(2)), every
// capability out of the ambient, bounding, inheritable, permitted and effective sets (capabilities(7)), no
// core files (RLIMIT_CORE 0: one would hold visitors' data), not dumpable (no ptrace by processes of the same
// uid; builds with sanitizers leave this out, since LeakSanitizer traces its own process). No seccomp filter.
Result<void> give_up_privileges();

// Raises the soft limit of open files to the hard one (RLIMIT_NOFILE, setrlimit(2)). The limit that now
// holds.
[[nodiscard]] Result<std::size_t> raise_descriptor_limit();

}  // namespace paddock
