// Where a tenant's socket is: run_dir/sockets/NAME-<32 hex digits>.sock.
//
// The digits are the first half of HMAC-SHA256 (RFC 2104) of the tenant's name under a key that only root can
// read: the same after every restart, so that vhosts can be written once, and not to be guessed by a
// neighbour who may name any socket in an .htaccess file.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policies/config.h"

namespace paddock::policies {

using SocketKey = std::array<std::uint8_t, 32>;

// state_dir/socket.key. Refuses (EPERM) a file that others than its owner can open, that belongs to neither
// root nor us, or that is no regular file; EINVAL: it has not 32 bytes.
[[nodiscard]] Result<SocketKey> load_socket_key(const std::string &state_dir);

// The same; where there is none yet, makes one from getrandom(2), mode 0600. Two that do so at once get one
// key. state_dir must exist.
[[nodiscard]] Result<SocketKey> load_or_create_socket_key(const std::string &state_dir);

[[nodiscard]] std::string socket_path(const Runtime &runtime, const SocketKey &key, std::string_view tenant);

// run_dir/sockets/refused.sock: a datagram socket, to which the web server's module tells what it refused
// itself.
[[nodiscard]] std::string refusal_socket_path(const Runtime &runtime);

// run_dir/control.sock
[[nodiscard]] std::string control_socket_path(const Runtime &runtime);

// run_dir/shell-TENANT.lock: locked (flock(2)) while somebody is in the tenant's sandbox by `paddock shell`,
// which is then not idle.
[[nodiscard]] std::string shell_lock_path(const Runtime &runtime, std::string_view tenant);

// How long a tenant's name may be for its socket's path to fit into sockaddr_un (unix(7): 108 bytes with the
// NUL); below 1: run_dir is too long for any.
[[nodiscard]] int longest_name(const Runtime &runtime);

}  // namespace paddock::policies
