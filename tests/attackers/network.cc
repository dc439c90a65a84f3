// Sockets: Paddock's own, the neighbour's, the host's, and the families that nobody looks after. The tenant's
// plan has network = "none".
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>

#include "attempt.h"

namespace paddock::attackers {
namespace {

std::string opened(int family, int type, int protocol) {
  return said(::socket(family, type | SOCK_CLOEXEC, protocol));
}

std::string connected(const std::string &path, int type = SOCK_STREAM) {
  const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return said(::connect(fd, reinterpret_cast<const sockaddr *>(&address), length));
}

std::string connected(const char *host, int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return said(::connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof address));
}

constexpr int kLoopback = 1;  // its index in every network namespace

// Sends a request of rtnetlink(7) whose header `Body` is followed by one IPv4 address, and takes the answer.
template <typename Body>
std::string route_request(std::uint16_t type, const Body &body, std::uint16_t attribute,
                          const char *address) {
  own_network();
  struct {
    nlmsghdr header;
    Body body;
    rtattr attribute;
    in_addr address;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
  request.body = body;
  request.attribute.rta_len = RTA_LENGTH(sizeof(in_addr));
  request.attribute.rta_type = attribute;
  ::inet_pton(AF_INET, address, &request.address);
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0 || ::send(fd, &request, sizeof request, 0) < 0) return said(-1);
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[256];
  } answer{};
  if (::recv(fd, &answer, sizeof answer, 0) < 0) return said(-1);
  errno = -answer.error.error;
  return said(answer.error.error == 0 ? 0 : -1);
}

std::string took_address() {
  ifaddrmsg message{};
  message.ifa_family = AF_INET;
  message.ifa_prefixlen = 32;
  message.ifa_index = kLoopback;
  return route_request(RTM_NEWADDR, message, IFA_LOCAL, "198.51.100.7");
}

std::string took_route() {
  rtmsg message{};
  message.rtm_family = AF_INET;
  message.rtm_dst_len = 32;
  message.rtm_table = RT_TABLE_MAIN;
  message.rtm_protocol = RTPROT_STATIC;
  message.rtm_scope = RT_SCOPE_UNIVERSE;
  message.rtm_type = RTN_BLACKHOLE;
  return route_request(RTM_NEWROUTE, message, RTA_DST, "198.51.100.7");
}

std::string interface_set(unsigned long request) {
  own_network();
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq interface {};
  ::strcpy(interface.ifr_name, "lo");
  if (request == SIOCSIFFLAGS) interface.ifr_flags = IFF_UP | IFF_PROMISC;
  if (request == SIOCSIFMTU) interface.ifr_mtu = 1280;
  return said(::ioctl(fd, request, &interface));
}

std::string option_set(int level, int option) {
  own_network();
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  return said(::setsockopt(fd, level, option, &one, sizeof one));
}

}  // namespace

void add_network_attempts(Attempts &attempts) {
  const auto root = Control::kRoot;
  const auto user = Control::kUser;
  const Attempts own = {
      {"control-socket", "speaks to the control socket", "ENOENT", root, "ok",
       [] { return connected(fact("control")); }},
      {"neighbour-socket", "sends FastCGI records to the neighbour's PHP", "ENOENT", root, "ok",
       [] { return connected(fact("neighbour_socket")); }},
      {"own-socket", "sends FastCGI records of its own, past the web server", "ENOENT", root, "ok",
       [] { return connected(fact("own_socket")); }},
      {"abstract-socket", "reaches a host's service by its abstract name", "ECONNREFUSED", user, "ok",
       [] { return connected(std::string(1, '\0') + fact("abstract")); }},
      {"host-loopback", "reaches a host's service on loopback", "ECONNREFUSED", user, "ok",
       [] { return connected("127.0.0.1", number("port")); }},
      {"send-mail", "speaks SMTP to the world", "ENETUNREACH", Control::kNone, "",
       [] { return connected("192.0.2.1", 25); }, "tests send nothing beyond this machine"},
      {"unix-sockets-listed", "reads where the host's sockets are", "hidden", user, "ok",
       [] {
         std::ifstream list("/proc/net/unix");
         const std::string text{std::istreambuf_iterator<char>(list), {}};
         return text.find(fact("abstract")) == std::string::npos ? std::string("hidden") : "ok";
       }},
      {"raw-socket", "forges packets", "EPERM", root, "ok",
       [] { return opened(AF_INET, SOCK_RAW, IPPROTO_ICMP); }},
      {"take-address", "takes another address", "EPERM", root, "ok", took_address},
      {"take-route", "changes where packets go", "EPERM", root, "ok", took_route},
      {"interface-flags", "makes an interface promiscuous", "ENOTTY", root, "ok",
       [] { return interface_set(SIOCSIFFLAGS); }},
      {"interface-mtu", "changes an interface", "ENOTTY", root, "ok",
       [] { return interface_set(SIOCSIFMTU); }},
      {"forge-source", "sends from an address that is not its own", "EPERM", root, "ok",
       [] { return option_set(SOL_IP, IP_TRANSPARENT); }},
      {"mark-packets", "gives packets the mark that the host's rules look for", "EPERM", root, "ok",
       [] { return option_set(SOL_SOCKET, SO_MARK); }},
      {"buffer-force", "takes more of the kernel's memory for a socket than the host allows", "EPERM", root,
       "ok", [] { return option_set(SOL_SOCKET, SO_RCVBUFFORCE); }},
      {"packet-socket", "listens to everybody's packets", "EAFNOSUPPORT", root, "ok",
       [] { return opened(AF_PACKET, SOCK_RAW, 0); }},
      {"netfilter-socket", "speaks to the firewall", "EAFNOSUPPORT", user, "ok",
       [] { return opened(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); }},
      {"uevent-socket", "listens for devices", "EAFNOSUPPORT", user, "ok",
       [] { return opened(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT); }},
      {"audit-socket", "speaks to the audit system", "EAFNOSUPPORT", user, "*",
       [] { return opened(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT); }},
      {"key-socket", "AF_KEY", "EAFNOSUPPORT", Control::kNone, "", [] { return opened(AF_KEY, SOCK_RAW, 2); },
       "a kernel without the family answers the same"},
      {"alg-socket", "AF_ALG, the kernel's ciphers", "EAFNOSUPPORT", Control::kNone, "",
       [] { return opened(AF_ALG, SOCK_SEQPACKET, 0); }, "a kernel without the family answers the same"},
      {"vsock-socket", "AF_VSOCK, the hypervisor", "EAFNOSUPPORT", Control::kNone, "",
       [] { return opened(AF_VSOCK, SOCK_STREAM, 0); }, "a kernel without the family answers the same"},
      {"socketpair-tipc", "AF_TIPC by socketpair(2)", "EAFNOSUPPORT", Control::kNone, "",
       [] {
         int ends[2];
         return said(::socketpair(AF_TIPC, SOCK_STREAM, 0, ends));
       },
       "a kernel without the family answers the same"},
  };
  attempts.insert(attempts.end(), own.begin(), own.end());
}

}  // namespace paddock::attackers
