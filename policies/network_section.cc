#include "policies/network_section.h"

#include <algorithm>

#include "base/log.h"
#include "policies/host_networks.h"

namespace paddock::policies {
namespace {

constexpr std::uint64_t kMostPerSecond = 100'000;
constexpr std::size_t kMostEndpoints = 256;
// A million tenants; the interface's name has no room for a larger number.
constexpr unsigned kLeastBits = 12;
constexpr unsigned kMostBits = 29;

void read_ports(Section &section, std::vector<std::uint16_t> &ports) {
  constexpr const char *kKey = "network_closed_ports";
  const Array *values = section.array(kKey);
  if (values == nullptr) return;
  ports.clear();
  for (const auto &value : *values) {
    const auto *port = value.as<std::int64_t>();
    if (port == nullptr || *port < 1 || *port > 65'535) {
      section.fail_at(value.where, kKey, "wrong value", "a port from 1 to 65535", value.describe());
    } else {
      ports.push_back(static_cast<std::uint16_t>(*port));
    }
  }
  std::sort(ports.begin(), ports.end());
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
}

template <typename Fits>
void read_endpoints(Section &section, const char *key, const char *expected, Fits fits,
                    std::vector<Ipv4Endpoint> &endpoints) {
  const auto values = section.texts(key);
  if (!values) return;
  if (values->size() > kMostEndpoints)
    section.fail(key, "too many", "at most " + std::to_string(kMostEndpoints));
  endpoints.clear();
  for (const auto &[text, where] : *values) {
    const auto endpoint = Ipv4Endpoint::parse(text);
    if (endpoint && fits(*endpoint)) {
      endpoints.push_back(*endpoint);
    } else {
      section.fail_at(where, key, "wrong value", expected, "string " + log::quoted(text, 64));
    }
  }
}

std::string overlap_with(const Machine &machine, const Ipv4Range &range) {
  if (!machine.networks) return {};
  for (const auto &known : machine.networks())
    if (known.range.overlaps(range))
      return known.range.to_string() + " of interface " + log::quoted(known.interface, 16);
  return {};
}

}  // namespace

void read_egress(Section &section, Egress &egress) {
  read_ports(section, egress.closed_ports);
  read_endpoints(
      section, "network_allow", "\"192.0.2.0/24\", \"192.0.2.7\" or \"192.0.2.7:443\"",
      [](const Ipv4Endpoint &) { return true; }, egress.allowed);
  read_endpoints(
      section, "network_services", "an address of this host and a port, such as \"127.0.0.1:3306\"",
      [](const Ipv4Endpoint &endpoint) { return endpoint.port != 0 && endpoint.to.bits == 32; },
      egress.services);
  if (const auto most = section.integer("network_new_per_second", 0, kMostPerSecond))
    egress.new_per_second = static_cast<std::uint32_t>(*most);
}

void read_network(Section &section, NatSettings &nat) {
  if (const auto text = section.text("range")) {
    const auto range = Ipv4Range::parse(*text);
    if (range && range->bits >= kLeastBits && range->bits <= kMostBits) {
      nat.range = *range;
    } else {
      section.fail("range", "wrong value", "a range from /12 to /29 such as \"10.213.0.0/16\"",
                   "string " + log::quoted(*text, 64));
    }
  }
  if (const auto text = section.text("resolver")) {
    nat.resolver = parse_ipv4(*text);
    if (!nat.resolver)
      section.fail("resolver", "wrong value", "an IPv4 address", "string " + log::quoted(*text, 64));
  }
  section.finish();
}

void check_network(Section &section, const Machine &machine, Config &config,
                   std::vector<Diagnostic> &diagnostics) {
  const auto nat = std::find_if(config.plans.begin(), config.plans.end(),
                                [](const auto &each) { return each.second.network == Network::kNat; });
  if (nat == config.plans.end()) return;
  const Plan &plan = nat->second;
  NatSettings &settings = config.nat;
  // Who has not chosen a range finds the plan that wants one.
  const bool chosen = section.find("range") != nullptr;
  const auto complain = [&](Severity severity, const std::string &message, const std::string &expected) {
    diagnostics.push_back({severity, chosen ? section.location_of("range") : plan.where,
                           chosen ? "network.range" : "plan." + plan.name, message, expected});
  };
  const std::string range = settings.range.to_string();
  if (const auto other = overlap_with(machine, settings.range); !other.empty())
    complain(Severity::kError, "the tenants' range " + range + " collides with " + other,
             "network.range: a range that this host does not know");
  const auto tenants = static_cast<std::uint64_t>(
      std::count_if(config.tenants.begin(), config.tenants.end(), [&config](const auto &each) {
        const auto its = config.plans.find(each.second->plan);
        return its != config.plans.end() && its->second.network == Network::kNat;
      }));
  if (tenants + NatSettings::kOtherAddresses > settings.range.size())
    complain(Severity::kError,
             range + " has no room for " + std::to_string(tenants) + " tenants with network = \"nat\"",
             "network.range: a larger range");
  if (settings.resolver) return;
  constexpr const char *kResolvConf = "/etc/resolv.conf";
  const auto text = machine.read(kResolvConf, 64 << 10);
  if (text) settings.resolver = first_nameserver(*text);
  if (!settings.resolver)
    diagnostics.push_back(
        {Severity::kWarning, plan.where, "plan." + plan.name,
         std::string(kResolvConf) +
             " names no IPv4 nameserver: its tenants resolve no names unless network.resolver is set"});
}

}  // namespace paddock::policies
