// The zygotes of this host: one for each PHP, and each size of its opcache, that tenants in use ask for,
// since PHP fixes that size when it starts.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "policies/config.h"
#include "supervisor/zygote.h"

namespace paddock::supervisor {

class Zygotes {
 public:
  struct Kind {
    policies::Php php;
    std::uint32_t opcache_mib = 0;  // 0: what php.ini says

    auto operator<=>(const Kind &) const = default;
  };
  using ByKind = std::map<Kind, std::shared_ptr<Zygote>>;

  // options: of all of them, without arguments. program_dir: where paddock-phpNAME is looked for. on_gone:
  // when one of them clones no more.
  Zygotes(boost::asio::io_context &io, SpawnOptions options, std::string program_dir, Zygote::OnGone on_gone);

  // Starts what the tenants of `config` need and is not there (the default PHP, with php.ini's size, always
  // is), and lets go of the others: each ends once it has cloned what it was asked for.
  void want(const policies::Config &config);
  // Started if it is not there.
  const std::shared_ptr<Zygote> &of(const Kind &kind);
  [[nodiscard]] const ByKind &all() const { return by_kind_; }

  void stop();
  [[nodiscard]] bool running() const;

 private:
  [[nodiscard]] std::string program_of(const policies::Php &php) const;

  boost::asio::io_context &io_;
  SpawnOptions options_;
  std::string program_dir_;
  Zygote::OnGone on_gone_;
  std::string default_php_;
  ByKind by_kind_;
};

}  // namespace paddock::supervisor
