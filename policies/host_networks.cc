#include "policies/host_networks.h"

#include <arpa/inet.h>
#include <ifaddrs.h>

#include <bit>
#include <memory>
#include <sstream>

#include "base/file.h"

namespace paddock::policies {
namespace {

// As network/rules.h names them.
constexpr std::string_view kTenantInterfaces = "paddock-";

std::uint32_t host_order(const sockaddr *address) {
  return ntohl(reinterpret_cast<const sockaddr_in *>(address)->sin_addr.s_addr);
}

void add(std::vector<KnownNetwork> &networks, std::uint32_t address, std::uint32_t mask,
         const std::string &interface) {
  const auto bits = static_cast<unsigned>(std::popcount(mask));
  if (bits == 0 || interface.starts_with(kTenantInterfaces)) return;
  networks.push_back({{address & mask, bits}, interface});
}

}  // namespace

std::vector<KnownNetwork> parse_routes(const std::string &text) {
  std::vector<KnownNetwork> networks;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string interface;
    std::uint32_t destination = 0;
    std::uint32_t mask = 0;
    std::string passed;
    // Iface Destination Gateway Flags RefCnt Use Metric Mask: numbers as they lie in memory.
    fields >> interface >> std::hex >> destination;
    for (int i = 0; i < 5; ++i) fields >> passed;
    if (fields >> std::hex >> mask) add(networks, ntohl(destination), ntohl(mask), interface);
  }
  return networks;
}

std::vector<KnownNetwork> host_networks() {
  std::vector<KnownNetwork> networks;
  if (ifaddrs *list = nullptr; ::getifaddrs(&list) == 0) {
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(list, ::freeifaddrs);
    for (const ifaddrs *each = list; each != nullptr; each = each->ifa_next)
      if (each->ifa_addr != nullptr && each->ifa_netmask != nullptr && each->ifa_addr->sa_family == AF_INET)
        add(networks, host_order(each->ifa_addr), host_order(each->ifa_netmask), each->ifa_name);
  }
  if (const auto routes = read_file("/proc/net/route"))
    for (auto &route : parse_routes(*routes)) networks.push_back(std::move(route));
  return networks;
}

std::optional<std::uint32_t> first_nameserver(const std::string &text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword;
    std::string address;
    if (!(words >> keyword >> address) || keyword != "nameserver") continue;
    if (const auto found = parse_ipv4(address)) return found;
  }
  return std::nullopt;
}

}  // namespace paddock::policies
