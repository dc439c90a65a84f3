#include "network/rules.h"

#include <algorithm>

namespace paddock::network {
namespace {

// In the ruleset's text.
constexpr const char *kFromTenant = "iifname \"paddock-*\"";
constexpr const char *kToTenant = "oifname \"paddock-*\"";
// Machines tell their secrets there to whoever asks from them (the metadata of clouds).
constexpr const char *kLinkLocal = "169.254.0.0/16";

std::string protocol_of(const Ipv4Endpoint &endpoint) {
  return endpoint.udp ? "udp" : "tcp";
}

bool on_loopback(const Ipv4Endpoint &endpoint) {
  return is_loopback(endpoint.to.first);
}

// " ip daddr 192.0.2.0/24 tcp dport 443"; nothing for what is everything.
std::string match(const Ipv4Endpoint &endpoint) {
  std::string text;
  if (endpoint.to.first != 0 || endpoint.to.bits == 32) text += " ip daddr " + endpoint.to.to_string();
  if (endpoint.port != 0) text += " " + protocol_of(endpoint) + " dport " + std::to_string(endpoint.port);
  return text;
}

class Writer {
 public:
  explicit Writer(const Rules &rules) : rules_(rules), gateway_(format_ipv4(rules.gateway())) {}

  std::string write() {
    // A table that is not there cannot be deleted; declared before, it always is.
    line("table inet " + std::string(kTable));
    line("delete table inet " + std::string(kTable));
    open("table inet " + std::string(kTable));
    for (const auto &plan : rules_.plans) rate(plan);
    open("chain refuse");
    line("meta l4proto tcp reject with tcp reset");
    line("reject with icmpx admin-prohibited");
    close();
    for (const auto &plan : rules_.plans) egress(plan);
    from_tenants();
    to_tenants();
    translation();
    close();
    return std::move(text_);
  }

 private:
  void line(const std::string &what) { text_ += std::string(depth_ * 2, ' ') + what + "\n"; }
  void open(const std::string &what) {
    line(what + " {");
    ++depth_;
  }
  void close() {
    --depth_;
    line("}");
  }

  static std::string rate_set(const PlanRules &plan) { return "rate-" + plan.plan; }
  static std::string chain_of(const char *kind, const PlanRules &plan) {
    return std::string(kind) + "-" + plan.plan;
  }

  void rate(const PlanRules &plan) {
    if (plan.new_per_second == 0) return;
    open("set " + rate_set(plan));
    line("type ipv4_addr");
    line("size 65535");
    line("flags dynamic, timeout");
    line("timeout 1m");
    close();
  }

  void egress(const PlanRules &plan) {
    open("chain " + chain_of("egress", plan));
    if (plan.new_per_second != 0) {
      const std::string figure = std::to_string(plan.new_per_second);
      // Dropped, not refused: TCP tries again after a second, so that a burst is served, only later.
      line("update @" + rate_set(plan) + " { ip saddr limit rate over " + figure + "/second burst " + figure +
           " packets } drop");
    }
    for (const auto &service : plan.services)
      if (on_loopback(service))
        line("ip daddr " + gateway_ + " " + protocol_of(service) + " dport " + std::to_string(service.port) +
             " accept");
    if (rules_.resolver) line("ip daddr " + gateway_ + " meta l4proto { tcp, udp } th dport 53 accept");
    for (const auto &service : plan.services)
      if (!on_loopback(service)) line("fib daddr type local" + match(any_address(service)) + " accept");
    line("fib daddr type != unicast goto refuse");
    line("ip daddr " + rules_.range.to_string() + " goto refuse");
    for (const auto &allowed : plan.allowed)
      if (allowed.port != 0) line(trimmed(match(allowed)) + " accept");
    if (std::none_of(plan.allowed.begin(), plan.allowed.end(), covers_link_local))
      line(std::string("ip daddr ") + kLinkLocal + " goto refuse");
    if (!plan.closed_ports.empty()) {
      std::string ports;
      for (const auto port : plan.closed_ports) ports += (ports.empty() ? "" : ", ") + std::to_string(port);
      line("meta l4proto { tcp, udp } th dport { " + ports + " } goto refuse");
    }
    for (const auto &allowed : plan.allowed)
      if (allowed.port == 0)
        line(allowed.to.bits == 0 ? std::string("accept") : trimmed(match(allowed)) + " accept");
    line(plan.allowed.empty() ? "accept" : "goto refuse");
    close();
  }

  // 0.0.0.0 stands for every address.
  static Ipv4Endpoint any_address(Ipv4Endpoint service) {
    if (service.to.first == 0) service.to.bits = 0;
    return service;
  }
  static std::string trimmed(std::string text) {
    text.erase(0, text.find_first_not_of(' '));
    return text;
  }
  static bool covers_link_local(const Ipv4Endpoint &allowed) {
    const auto link_local = Ipv4Range::parse(kLinkLocal).value();
    return allowed.port == 0 && link_local.contains(allowed.to.first) && allowed.to.bits >= link_local.bits;
  }

  void from_tenants() {
    open("chain from-tenant");
    line("meta nfproto != ipv4 drop");
    // The route back does not lead to where this came from: the source address is not its own.
    line("fib saddr . iif oif missing drop");
    line("ct state established,related accept");
    line("ct state invalid drop");
    if (!rules_.plans.empty()) {
      std::string verdicts;
      for (const auto &plan : rules_.plans)
        verdicts += (verdicts.empty() ? "" : ", ") + std::to_string(plan.group) + " : goto " +
                    chain_of("egress", plan);
      line("meta iifgroup vmap { " + verdicts + " }");
    }
    line("goto refuse");
    close();
    open("chain arriving");
    line("type filter hook prerouting priority mangle; policy accept;");
    line(std::string(kFromTenant) + " goto from-tenant");
    close();
  }

  void to_tenants() {
    open("chain forwarded");
    line("type filter hook forward priority filter; policy accept;");
    line(std::string(kToTenant) + " ct state established,related accept");
    line(std::string(kToTenant) + " drop");
    close();
  }

  void translation() {
    for (const auto &plan : rules_.plans) {
      open("chain " + chain_of("services", plan));
      for (const auto &service : plan.services)
        if (on_loopback(service))
          line(protocol_of(service) + " dport " + std::to_string(service.port) + " dnat ip to " +
               format_ipv4(service.to.first) + ":" + std::to_string(service.port));
      if (rules_.resolver)
        line("meta l4proto { tcp, udp } th dport 53 dnat ip to " + format_ipv4(*rules_.resolver));
      close();
    }
    open("chain destinations");
    // Before others that translate local addresses (containers' published ports).
    line("type nat hook prerouting priority dstnat - 5; policy accept;");
    for (const auto &plan : rules_.plans)
      line(std::string(kFromTenant) + " ip daddr " + gateway_ + " meta iifgroup " +
           std::to_string(plan.group) + " goto " + chain_of("services", plan));
    close();
    if (rules_.resolver && is_loopback(*rules_.resolver)) {
      open("chain to-resolver");
      line("type nat hook input priority 100; policy accept;");
      // systemd-resolved's stub answers nobody but 127.0.0.0/8.
      line(std::string(kFromTenant) + " ip daddr " + format_ipv4(*rules_.resolver) +
           " meta l4proto { tcp, udp } th dport 53 snat ip to 127.0.0.1");
      close();
    }
    open("chain leaving");
    line("type nat hook postrouting priority srcnat; policy accept;");
    line("ip saddr " + rules_.range.to_string() + " ip saddr != " + gateway_ + " " +
         "oifname != \"paddock-*\" masquerade");
    close();
  }

  const Rules &rules_;
  std::string gateway_;
  std::string text_;
  std::size_t depth_ = 0;
};

}  // namespace

std::uint32_t group_of_plan(const std::string &name) {
  std::uint32_t hash = 2'166'136'261;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619;
  return (hash & 0x3fff'ffff) | 0x4000'0000;
}

std::string ruleset(const Rules &rules) {
  return Writer(rules).write();
}

}  // namespace paddock::network
