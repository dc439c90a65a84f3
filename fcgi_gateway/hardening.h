// What the gateway gives up before it reads the first byte from outside.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace paddock::fcgi_gateway {

// For the calling process, which must be single-threaded, and for good: no_new_privs (prctl(2)), every
// capability out of the ambient, bounding, inheritable, permitted and effective sets (capabilities(7)), no
// core files (RLIMIT_CORE 0: one would hold visitors' data), not dumpable (no ptrace by processes of the same
// uid; builds with sanitizers leave this out, since LeakSanitizer traces its own process). The gateway's
// seccomp filter belongs at the end of this function: nothing after it creates sockets, opens files or starts
// anything.
Result<void> give_up_privileges();

// Raises the soft limit of open files to the hard one (RLIMIT_NOFILE, setrlimit(2)). The limit that now
// holds.
[[nodiscard]] Result<std::size_t> raise_descriptor_limit();

}  // namespace paddock::fcgi_gateway
