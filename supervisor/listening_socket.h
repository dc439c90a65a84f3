// The tenants' listening sockets: SOCK_STREAM Unix sockets in a directory that only Apache can search.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <set>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::supervisor {

// The longest queue that listen(2) takes without being cut to net.core.somaxconn's usual value. It is deep so
// that Apache's thread never blocks in connect(2), which a full Unix backlog makes it do.
inline constexpr int kBacklog = 4096;

// Makes the directory for the sockets, or takes it over: mode 0710, owner root, group `apache_gid`: Apache
// can reach a name that it knows, and nobody can list the names. Removes the sockets that a dead run left in
// it, except for the names in `keep`.
Result<void> prepare_socket_directory(const std::string &directory, gid_t apache_gid,
                                      const std::set<std::string> &keep = {});

// A listening socket at `path`, blocking (O_NONBLOCK belongs to the open file description, which the workers
// share and block on), mode 0660, owner root, group `apache_gid`. An old socket at the path is replaced.
// Errors name the path.
[[nodiscard]] Result<UniqueFd> listen_at(const std::string &path, gid_t apache_gid, int type = SOCK_STREAM);

// A bound SOCK_DGRAM socket at `path`, non-blocking, mode and owner as above.
[[nodiscard]] Result<UniqueFd> bind_datagrams(const std::string &path, gid_t apache_gid);

// Whether connections can still come to it: a sandbox shares its tenant's socket, and any process there can
// shut it down (shutdown(2)), which is for good.
[[nodiscard]] bool still_listens(BorrowedFd socket);

}  // namespace paddock::supervisor
