// The networks of tenants with network = "nat": who has which address, and the firewall of all of them.
//
// One supervisor of a network namespace of the host has them: an abstract socket is the lock.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "network/interface.h"
#include "network/rules.h"
#include "policies/config.h"

namespace paddock::supervisor {

class Networks {
 public:
  explicit Networks(boost::asio::io_context &io) : events_(io) {}

  // Makes the rules that the plans ask for; does nothing until a plan has a network of this kind. An Error
  // leaves the rules of before.
  Result<void> configure(const policies::Config &config);
  [[nodiscard]] bool in_use() const { return lock_.valid(); }

  // Where a tenant's sandbox is to be joined to. The address stays a tenant's for as long as this runs, and
  // is that of a sandbox which a dead supervisor has left.
  [[nodiscard]] Result<network::TenantLink> link_for(const policies::Tenant &tenant,
                                                     const policies::Plan &plan);

  // At the end. keep: sandboxes still run, and the next supervisor takes over.
  void leave(bool keep);

 private:
  Result<void> begin();
  void adopt_addresses();
  Result<void> apply(const network::Rules &rules);
  void watch_table();
  void restore_table();

  UniqueFd lock_;
  network::Rules rules_;
  bool applied_ = false;
  std::map<std::string, std::uint32_t> places_;   // tenant, to its place in the range
  boost::asio::posix::stream_descriptor events_;  // of nftables
};

}  // namespace paddock::supervisor
