// The zygotes of this host: one for each size of opcache that a plan in use asks for, since PHP fixes that
// size when it starts.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>

#include "policies/config.h"
#include "supervisor/zygote.h"

namespace paddock::supervisor {

class Zygotes {
 public:
  // options: of one with the opcache that php.ini says. on_gone: when one of them clones no more.
  Zygotes(boost::asio::io_context &io, SpawnOptions options, Zygote::OnGone on_gone);

  // Starts what the tenants of `config` need and is not there (php.ini's size always is), and lets go of the
  // others: each ends once it has cloned what it was asked for.
  void want(const policies::Config &config);
  // Started if it is not there.
  const std::shared_ptr<Zygote> &of(std::uint32_t opcache_mib);

  void stop();
  [[nodiscard]] bool running() const;

 private:
  boost::asio::io_context &io_;
  SpawnOptions options_;
  Zygote::OnGone on_gone_;
  std::map<std::uint32_t, std::shared_ptr<Zygote>> by_opcache_mib_;
};

}  // namespace paddock::supervisor
