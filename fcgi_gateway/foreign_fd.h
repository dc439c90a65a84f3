// Descriptors that a sandbox has sent: they may be anything, and some kinds can make who holds them wait.
#pragma once

#include "base/unique_fd.h"

namespace paddock::fcgi_gateway {

// A stream socket of the family AF_UNIX. Any other socket is made to be closed without waiting (SO_LINGER,
// socket(7)).
[[nodiscard]] bool is_unix_stream(BorrowedFd fd);

}  // namespace paddock::fcgi_gateway
