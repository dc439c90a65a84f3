#include "supervisor/networks.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <set>
#include <string_view>

#include "base/log.h"
#include "network/firewall.h"

namespace paddock::supervisor {
namespace {

constexpr std::uint32_t kFirstPlace = 2;  // 1 is the gateway's

Result<UniqueFd> take_lock() {
  UniqueFd lock(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  constexpr std::string_view kName("\0paddock-network", 16);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, kName.data(), kName.size());
  if (::bind(lock.get(), reinterpret_cast<const sockaddr *>(&address),
             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + kName.size())) != 0) {
    if (errno == EADDRINUSE) return Error{"another paddockd has tenants' networks on this host"};
    return errno_error("lock the tenants' networks");
  }
  return lock;
}

network::PlanRules rules_of(const policies::Plan &plan) {
  const policies::Egress &egress = plan.egress;
  return {.plan = plan.name,
          .group = network::group_of_plan(plan.name),
          .closed_ports = egress.closed_ports,
          .allowed = egress.allowed,
          .services = egress.services,
          .new_per_second = egress.new_per_second};
}

network::Rules rules_of(const policies::Config &config) {
  network::Rules rules{config.nat.range, config.nat.resolver, {}};
  for (const auto &[name, plan] : config.plans)
    if (plan.network == policies::Network::kNat) rules.plans.push_back(rules_of(plan));
  return rules;
}

// Multicasts each change of the host's tables.
Result<UniqueFd> open_events() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1U << (NFNLGRP_NFTABLES - 1);
  if (!socket.valid() ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
    return errno_error("watch the nftables tables");
  return socket;
}

// Whether a table has been removed, by what `socket` has to say; the kernel's word.
bool table_removed(int socket) {
  bool removed = false;
  alignas(nlmsghdr) std::array<char, 16'384> buffer;
  for (;;) {
    const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    // What did not fit was lost: it may have been that.
    if (got < 0) return removed || errno == ENOBUFS;
    auto left = static_cast<std::uint32_t>(got);
    for (const auto *message = reinterpret_cast<const nlmsghdr *>(buffer.data());
         left >= sizeof(nlmsghdr) && message->nlmsg_len >= sizeof(nlmsghdr) && message->nlmsg_len <= left;) {
      if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE)) removed = true;
      const std::uint32_t step = std::min(left, NLMSG_ALIGN(message->nlmsg_len));
      left -= step;
      message = reinterpret_cast<const nlmsghdr *>(reinterpret_cast<const char *>(message) + step);
    }
  }
}

}  // namespace

Result<void> Networks::configure(const policies::Config &config) {
  network::Rules rules = rules_of(config);
  if (!in_use()) {
    rules_ = rules;
    if (rules.plans.empty()) return {};
    PADDOCK_CHECK(begin());
  }
  if (!applied_ || rules != rules_) PADDOCK_CHECK(apply(rules));
  rules_ = std::move(rules);
  // Those of tenants that are no more, once they are wanted.
  if (places_.size() + policies::NatSettings::kOtherAddresses >= rules_.range.size())
    std::erase_if(places_, [&config](const auto &each) { return !config.tenants.contains(each.first); });
  return {};
}

Result<void> Networks::begin() {
  PADDOCK_TRY(UniqueFd lock, take_lock());
  PADDOCK_TRY(const bool enabled, network::enable_forwarding());
  if (enabled) log::info("tenants have networks: this host forwards packets now (net.ipv4.ip_forward)");
  PADDOCK_TRY(UniqueFd events, open_events());
  lock_ = std::move(lock);
  events_.assign(events.release());
  adopt_addresses();
  watch_table();
  return {};
}

// Sandboxes that a dead supervisor left keep their addresses until they have ended.
void Networks::adopt_addresses() {
  const auto found = network::find_interfaces();
  if (!found) return log::warning(found.error().message());
  for (const auto &[name, tenant] : *found) {
    const std::string_view number = std::string_view(name).substr(std::strlen(network::kInterfacePrefix));
    std::uint32_t place = 0;
    const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), place);
    if (failure == std::errc{} && end == number.data() + number.size() && place >= kFirstPlace)
      places_[tenant] = place;
  }
}

Result<void> Networks::apply(const network::Rules &rules) {
  PADDOCK_CHECK(network::apply_ruleset(network::ruleset(rules)));
  applied_ = true;
  return {};
}

Result<network::TenantLink> Networks::link_for(const policies::Tenant &tenant, const policies::Plan &plan) {
  // What failed when the config was read may work now: a module was installed, the other paddockd has gone.
  if (!in_use()) PADDOCK_CHECK(begin());
  if (!applied_) PADDOCK_CHECK(apply(rules_));
  if (!places_.contains(tenant.name)) {
    std::set<std::uint32_t> taken;
    for (const auto &[name, place] : places_) taken.insert(place);
    std::uint32_t free = kFirstPlace;
    while (taken.contains(free)) ++free;
    // The last address is the broadcast's.
    if (free + 1 >= rules_.range.size()) return Error{rules_.range.to_string() + " has no address left"};
    places_[tenant.name] = free;
  }
  const std::uint32_t place = places_.at(tenant.name);
  network::TenantLink link;
  link.interface = network::kInterfacePrefix + std::to_string(place);
  link.tenant = tenant.name;
  link.group = network::group_of_plan(plan.name);
  link.address = rules_.range.first + place;
  link.gateway = rules_.gateway();
  return link;
}

void Networks::watch_table() {
  events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [this](const boost::system::error_code &error) {
                       if (error) return;
                       if (table_removed(events_.native_handle())) restore_table();
                       watch_table();
                     });
}

// `nft flush ruleset` is how many firewalls begin. Without our table tenants would reach each other.
void Networks::restore_table() {
  if (!applied_) return;
  const auto there = network::table_exists();
  if (there && *there) return;
  log::warning("somebody removed the nftables table of tenants' networks; it is put back");
  applied_ = false;  // if this fails, the next start of a sandbox tries again
  if (const auto done = apply(rules_); !done) log::error(done.error().message());
}

void Networks::leave(bool keep) {
  if (!in_use()) return;
  boost::system::error_code ignored;
  events_.close(ignored);
  if (applied_ && !keep)
    if (const auto removed = network::remove_table(); !removed) log::warning(removed.error().message());
  lock_.reset();
}

}  // namespace paddock::supervisor
