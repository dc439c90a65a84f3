// libnl's objects with owners, and its failures as Errors. For this folder only.
#pragma once

#include <netlink/addr.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace paddock::network {

template <auto free_function>
struct FreeWith {
  template <typename Object>
  void operator()(Object *object) const {
    free_function(object);
  }
};
using NetlinkSocket = std::unique_ptr<nl_sock, FreeWith<nl_socket_free>>;
using LinkObject = std::unique_ptr<rtnl_link, FreeWith<rtnl_link_put>>;
using AddressObject = std::unique_ptr<rtnl_addr, FreeWith<rtnl_addr_put>>;
using RouteObject = std::unique_ptr<rtnl_route, FreeWith<rtnl_route_put>>;
using NlAddress = std::unique_ptr<nl_addr, FreeWith<nl_addr_put>>;
using CacheObject = std::unique_ptr<nl_cache, FreeWith<nl_cache_free>>;

// To the network namespace that the caller is in at this moment.
[[nodiscard]] Result<NetlinkSocket> open_route_socket();

// `code`: what a function of libnl returned; 0 and above are no failure.
[[nodiscard]] Error netlink_error(const std::string &attempt, int code);

// `address` in the host's byte order.
[[nodiscard]] NlAddress ipv4_object(std::uint32_t address, int prefix_bits);

}  // namespace paddock::network
