// A tenant's link to the world: a pair of virtual interfaces, one end in a network namespace for its sandbox.
//
// The namespace is made before the sandbox, by root, and belongs to the host's user namespace: nothing in the
// sandbox, root of a user namespace of its own included, can ever change its addresses, routes or interfaces.
// Closing its last descriptor after its last process takes both ends away, whoever has died.
//
//   in the sandbox   eth0, the tenant's address with /32, everything by way of the gateway's address
//   on the host      paddock-N, the gateway's address (the same for all), a route to the tenant's
// Neither end has IPv6.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::network {

struct TenantLink {
  std::string interface;  // the host's end; one of that name that is still there is removed
  std::string tenant;     // its alias, as `ip link` shows it
  std::uint32_t group = 0;
  std::uint32_t address = 0;
  std::uint32_t gateway = 0;

  template <typename Io>
  void fields(Io &io) {
    io(interface);
    io(tenant);
    io(group);
    io(address);
    io(gateway);
  }
};

// Makes both ends and returns the namespace (setns(2)). The caller's own network namespace changes meanwhile,
// and stays wrong after an Error: for a process of one thread that ends then.
[[nodiscard]] Result<UniqueFd> make_tenant_link(const TenantLink &link);

// What has gone through the host's end, headers of Ethernet included, refused packets too.
struct Traffic {
  std::uint64_t received_bytes = 0;  // by the tenant
  std::uint64_t sent_bytes = 0;
};
[[nodiscard]] Result<Traffic> traffic_of(const std::string &interface);

// The tenants' interfaces of this host: those of sandboxes that a dead supervisor left are among them.
struct FoundInterface {
  std::string name;
  std::string tenant;
};
[[nodiscard]] Result<std::vector<FoundInterface>> find_interfaces();

// The host forwards packets for tenants (net.ipv4.ip_forward). true: it did not before.
[[nodiscard]] Result<bool> enable_forwarding();

}  // namespace paddock::network
