#include "network/netlink.h"

#include <arpa/inet.h>
#include <netlink/errno.h>
#include <sys/socket.h>

namespace paddock::network {

Result<NetlinkSocket> open_route_socket() {
  NetlinkSocket socket(::nl_socket_alloc());
  if (!socket) return errno_error("make a netlink socket", ENOMEM);
  if (const int code = ::nl_connect(socket.get(), NETLINK_ROUTE); code < 0)
    return netlink_error("open a netlink socket", code);
  return socket;
}

// libnl has errors of its own for errno's; these are the ones that callers tell apart.
Error netlink_error(const std::string &attempt, int code) {
  switch (-code) {
    case NLE_NODEV:
    case NLE_OBJ_NOTFOUND:
      return errno_error(attempt, ENODEV);
    case NLE_EXIST:
      return errno_error(attempt, EEXIST);
    case NLE_PERM:
      return errno_error(attempt, EPERM);
    case NLE_OPNOTSUPP:
      return errno_error(attempt, EOPNOTSUPP);
    default:
      return Error{attempt + ": " + ::nl_geterror(code)};
  }
}

NlAddress ipv4_object(std::uint32_t address, int prefix_bits) {
  const std::uint32_t bytes = htonl(address);
  NlAddress object(::nl_addr_build(AF_INET, &bytes, sizeof bytes));
  if (object) ::nl_addr_set_prefixlen(object.get(), prefix_bits);
  return object;
}

}  // namespace paddock::network
