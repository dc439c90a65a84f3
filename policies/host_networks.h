// The IPv4 addresses and routes of this machine.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/machine.h"

namespace paddock::policies {

// getifaddrs(3) and /proc/net/route, without the interfaces of tenants.
[[nodiscard]] std::vector<KnownNetwork> host_networks();

// The text of /proc/net/route (proc(5)). Lines of another form are passed over.
[[nodiscard]] std::vector<KnownNetwork> parse_routes(const std::string &text);

// The first IPv4 nameserver of a resolv.conf(5).
[[nodiscard]] std::optional<std::uint32_t> first_nameserver(const std::string &text);

}  // namespace paddock::policies
