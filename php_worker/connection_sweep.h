// The tenant's connections, wherever in the sandbox they are held: found in /proc, ended by shutdown(2).
//
// A worker that is killed closes its connection, but a child that it forked may still hold it, and the web
// server waits on. shutdown(2) reaches the socket itself, whoever holds it. Goes by what the kernel says of
// the processes, not by what they say of themselves.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/unique_fd.h"

namespace paddock::php_worker {

struct HeldConnection {
  pid_t pid = 0;
  std::uint64_t inode = 0;  // of the socket: who shares it has the same
};

// Shuts down each connection that was accepted from `listen` and is held by a process in this one's /proc, if
// `end` says so (pidfd_getfd(2), for the time of the look). Returns the processes that could not be looked
// into: those that were made undumpable (prctl(2), PR_SET_DUMPABLE), which workers are not.
std::vector<pid_t> sweep_connections(BorrowedFd listen,
                                     const std::function<bool(const HeldConnection &)> &end);

}  // namespace paddock::php_worker
