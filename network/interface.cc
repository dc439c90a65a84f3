#include "network/interface.h"

#include <fcntl.h>
#include <net/if.h>
#include <netlink/route/link/veth.h>
#include <sched.h>

#include <string_view>

#include "base/file.h"
#include "network/netlink.h"
#include "network/rules.h"

namespace paddock::network {
namespace {

constexpr const char *kInside = "eth0";

Result<UniqueFd> own_namespace() {
  return open_file("/proc/self/ns/net", O_RDONLY);
}

Result<void> enter(BorrowedFd network_namespace) {
  if (::setns(network_namespace.get(), CLONE_NEWNET) != 0) return errno_error("change the network namespace");
  return {};
}

// Of the network namespace that the caller is in.
Result<void> set_sysctl(const std::string &name, std::string_view value) {
  return write_value_at(BorrowedFd(AT_FDCWD), "/proc/sys/net/" + name, value);
}

// A kernel without IPv6 has none of its files either.
Result<void> forbid_ipv6(const std::string &interface) {
  auto done = set_sysctl("ipv6/conf/" + interface + "/disable_ipv6", "1");
  if (!done && done.error().code == ENOENT) return {};
  return done;
}

Result<void> change(nl_sock *socket, const std::string &interface, const LinkObject &changes) {
  const LinkObject which(::rtnl_link_alloc());
  if (!which || !changes) return errno_error("change interface " + interface, ENOMEM);
  ::rtnl_link_set_ifindex(which.get(), static_cast<int>(::if_nametoindex(interface.c_str())));
  if (const int code = ::rtnl_link_change(socket, which.get(), changes.get(), 0); code < 0)
    return netlink_error("change interface " + interface, code);
  return {};
}

Result<void> bring_up(nl_sock *socket, const std::string &interface, const std::string &alias = {}) {
  const LinkObject changes(::rtnl_link_alloc());
  if (changes) {
    ::rtnl_link_set_flags(changes.get(), IFF_UP);
    if (!alias.empty()) ::rtnl_link_set_ifalias(changes.get(), alias.c_str());
  }
  return change(socket, interface, changes);
}

Result<void> add_address(nl_sock *socket, const std::string &interface, std::uint32_t address) {
  const std::string attempt = "give interface " + interface + " its address";
  const AddressObject object(::rtnl_addr_alloc());
  const NlAddress local = ipv4_object(address, 32);
  if (!object || !local) return errno_error(attempt, ENOMEM);
  ::rtnl_addr_set_ifindex(object.get(), static_cast<int>(::if_nametoindex(interface.c_str())));
  if (const int code = ::rtnl_addr_set_local(object.get(), local.get()); code < 0)
    return netlink_error(attempt, code);
  if (const int code = ::rtnl_addr_add(socket, object.get(), 0); code < 0)
    return netlink_error(attempt, code);
  return {};
}

// gateway: whoever is reached directly there has none.
Result<void> add_route(nl_sock *socket, const std::string &interface, std::uint32_t to, int prefix_bits,
                       std::optional<std::uint32_t> gateway = {}) {
  const std::string attempt = "add a route by interface " + interface;
  const RouteObject route(::rtnl_route_alloc());
  const NlAddress destination = ipv4_object(to, prefix_bits);
  rtnl_nexthop *hop = ::rtnl_route_nh_alloc();
  if (!route || !destination || hop == nullptr) return errno_error(attempt, ENOMEM);
  ::rtnl_route_nh_set_ifindex(hop, static_cast<int>(::if_nametoindex(interface.c_str())));
  if (gateway) {
    const NlAddress via = ipv4_object(*gateway, 32);
    ::rtnl_route_nh_set_gateway(hop, via.get());
  }
  ::rtnl_route_add_nexthop(route.get(), hop);  // takes it over
  ::rtnl_route_set_family(route.get(), AF_INET);
  ::rtnl_route_set_scope(route.get(), gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
  if (const int code = ::rtnl_route_set_dst(route.get(), destination.get()); code < 0)
    return netlink_error(attempt, code);
  if (const int code = ::rtnl_route_add(socket, route.get(), NLM_F_EXCL); code < 0)
    return netlink_error(attempt, code);
  return {};
}

// What ended a moment ago may still be there: the kernel takes a namespace apart when it has time.
Result<void> remove_stale(nl_sock *socket, const std::string &interface) {
  if (::if_nametoindex(interface.c_str()) == 0) return {};
  const LinkObject link(::rtnl_link_alloc());
  if (!link) return errno_error("remove interface " + interface, ENOMEM);
  ::rtnl_link_set_name(link.get(), interface.c_str());
  const int code = ::rtnl_link_delete(socket, link.get());
  if (code < 0 && ::if_nametoindex(interface.c_str()) != 0)
    return netlink_error("remove interface " + interface, code);
  return {};
}

Result<void> make_pair(nl_sock *socket, const TenantLink &wanted, BorrowedFd inside) {
  const std::string attempt = "make interface " + wanted.interface;
  const LinkObject link(::rtnl_link_veth_alloc());
  if (!link) return errno_error(attempt, ENOMEM);
  const LinkObject peer(::rtnl_link_veth_get_peer(link.get()));
  ::rtnl_link_set_name(link.get(), wanted.interface.c_str());
  ::rtnl_link_set_group(link.get(), wanted.group);
  ::rtnl_link_set_name(peer.get(), kInside);
  ::rtnl_link_set_ns_fd(peer.get(), inside.get());
  if (const int code = ::rtnl_link_add(socket, link.get(), NLM_F_CREATE | NLM_F_EXCL); code < 0)
    return netlink_error(attempt, code);
  return {};
}

Result<void> set_up_host_end(nl_sock *socket, const TenantLink &link) {
  const std::string &name = link.interface;
  PADDOCK_CHECK(forbid_ipv6(name));
  PADDOCK_CHECK(set_sysctl("ipv4/conf/" + name + "/send_redirects", "0"));
  PADDOCK_CHECK(set_sysctl("ipv4/conf/" + name + "/accept_redirects", "0"));
  // For services on the host's loopback. Whatever a tenant sends to 127.0.0.0/8 itself is refused before.
  PADDOCK_CHECK(set_sysctl("ipv4/conf/" + name + "/route_localnet", "1"));
  PADDOCK_CHECK(add_address(socket, name, link.gateway));
  PADDOCK_CHECK(bring_up(socket, name, link.tenant));
  return add_route(socket, name, link.address, 32);
}

Result<void> set_up_inside(const TenantLink &link) {
  PADDOCK_TRY(const NetlinkSocket socket, open_route_socket());
  PADDOCK_CHECK(add_address(socket.get(), kInside, link.address));
  PADDOCK_CHECK(bring_up(socket.get(), kInside));
  PADDOCK_CHECK(add_route(socket.get(), kInside, link.gateway, 32));
  return add_route(socket.get(), kInside, 0, 0, link.gateway);
}

}  // namespace

Result<UniqueFd> make_tenant_link(const TenantLink &link) {
  PADDOCK_TRY(const UniqueFd host, own_namespace());
  PADDOCK_TRY(const NetlinkSocket socket, open_route_socket());
  if (::unshare(CLONE_NEWNET) != 0) return errno_error("make a network namespace for " + link.tenant);
  PADDOCK_TRY(UniqueFd inside, own_namespace());
  {
    PADDOCK_TRY(const NetlinkSocket own, open_route_socket());
    PADDOCK_CHECK(bring_up(own.get(), "lo"));
  }
  // Loopback keeps its ::1; what comes later has no IPv6.
  PADDOCK_CHECK(forbid_ipv6("default"));
  PADDOCK_CHECK(enter(host));
  PADDOCK_CHECK(remove_stale(socket.get(), link.interface));
  PADDOCK_CHECK(make_pair(socket.get(), link, inside));
  PADDOCK_CHECK(set_up_host_end(socket.get(), link));
  PADDOCK_CHECK(enter(inside));
  PADDOCK_CHECK(set_up_inside(link));
  PADDOCK_CHECK(enter(host));
  return inside;
}

Result<Traffic> traffic_of(const std::string &interface) {
  PADDOCK_TRY(const NetlinkSocket socket, open_route_socket());
  rtnl_link *found = nullptr;
  const int code = ::rtnl_link_get_kernel(socket.get(), 0, interface.c_str(), &found);
  if (code < 0) return netlink_error("read the counters of interface " + interface, code);
  const LinkObject link(found);
  // The host's end receives what the tenant sends.
  return Traffic{::rtnl_link_get_stat(link.get(), RTNL_LINK_TX_BYTES),
                 ::rtnl_link_get_stat(link.get(), RTNL_LINK_RX_BYTES)};
}

Result<std::vector<FoundInterface>> find_interfaces() {
  PADDOCK_TRY(const NetlinkSocket socket, open_route_socket());
  nl_cache *raw = nullptr;
  if (const int code = ::rtnl_link_alloc_cache(socket.get(), AF_UNSPEC, &raw); code < 0)
    return netlink_error("list the interfaces", code);
  const CacheObject cache(raw);
  std::vector<FoundInterface> found;
  for (nl_object *object = ::nl_cache_get_first(cache.get()); object != nullptr;
       object = ::nl_cache_get_next(object)) {
    auto *link = reinterpret_cast<rtnl_link *>(object);
    const std::string name = ::rtnl_link_get_name(link);
    if (!name.starts_with(kInterfacePrefix)) continue;
    const char *alias = ::rtnl_link_get_ifalias(link);
    found.push_back({name, alias == nullptr ? std::string() : alias});
  }
  return found;
}

Result<bool> enable_forwarding() {
  constexpr const char *kForward = "/proc/sys/net/ipv4/ip_forward";
  PADDOCK_TRY(const std::string now, read_file(kForward));
  if (now.starts_with("1")) return false;
  PADDOCK_CHECK(write_value_at(BorrowedFd(AT_FDCWD), kForward, "1"));
  return true;
}

}  // namespace paddock::network
