// The firewall of tenants with a network of their own, as the text of one nftables table.
//
// Pure. Nothing in it is a tenant's: each plan has rules, and an interface of a tenant says by its group
// (ip-link(8)) which plan it is under. So a start or an end of a sandbox changes no rule, and what a dead
// supervisor left still holds its tenants to their plans.
//
// All that a tenant sends is judged once, before anybody's DNAT (prerouting, priority -150), so that what the
// host forwards to containers is no way around. Other tables may refuse more; what is accepted here they see
// too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ipv4.h"

namespace paddock::network {

inline constexpr const char *kTable = "paddock";  // of the family inet
// The host's ends: paddock-2, paddock-3, ...; the number is that of the address in the range.
inline constexpr const char *kInterfacePrefix = "paddock-";

struct PlanRules {
  std::string plan;
  std::uint32_t group = 0;                  // group_of_plan()
  std::vector<std::uint16_t> closed_ports;  // TCP and UDP; an `allowed` entry with a port of its own opens it
  std::vector<Ipv4Endpoint> allowed;        // empty: everywhere
  // Of the host. On loopback: at the gateway's address, under the same port. 0.0.0.0: at any address of the
  // host.
  std::vector<Ipv4Endpoint> services;
  std::uint32_t new_per_second = 0;  // connections, and flows of UDP, of one tenant; 0: any number
  bool operator==(const PlanRules &) const = default;
};

struct Rules {
  Ipv4Range range;                        // of the tenants
  std::optional<std::uint32_t> resolver;  // answers DNS at the gateway's address
  std::vector<PlanRules> plans;

  // The host's end of every tenant's link: the first address of the range.
  [[nodiscard]] std::uint32_t gateway() const { return range.first + 1; }
  bool operator==(const Rules &) const = default;
};

// The same for a name on every host and in every run; never one of the small groups that people use.
[[nodiscard]] std::uint32_t group_of_plan(const std::string &name);

// For nft(8): replaces the table in one transaction.
[[nodiscard]] std::string ruleset(const Rules &rules);

}  // namespace paddock::network
