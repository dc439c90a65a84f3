#include "supervisor/zygotes.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace paddock::supervisor {

Zygotes::Zygotes(boost::asio::io_context &io, SpawnOptions options, std::string program_dir,
                 Zygote::OnGone on_gone)
    : io_(io),
      options_(std::move(options)),
      program_dir_(std::move(program_dir)),
      on_gone_(std::move(on_gone)) {}

void Zygotes::want(const policies::Config &config) {
  default_php_ = config.runtime.php;
  std::set<Kind> kinds = {{config.default_php(), 0}};
  // Ten thousand tenants have a few plans and PHPs.
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const auto &[name, tenant] : config.tenants)
    if (seen.emplace(tenant->plan, tenant->php).second)
      kinds.insert({config.php_of(*tenant), config.plan_of(*tenant).opcache_mib});
  std::erase_if(by_kind_, [&](const auto &entry) { return !kinds.contains(entry.first); });
  for (const Kind &kind : kinds) of(kind);
}

std::string Zygotes::program_of(const policies::Php &php) const {
  return php.program.empty() ? program_dir_ + "/paddock-php" + php.name : php.program;
}

const std::shared_ptr<Zygote> &Zygotes::of(const Kind &kind) {
  auto &zygote = by_kind_[kind];
  if (!zygote) {
    SpawnOptions options = options_;
    options.arguments = {program_of(kind.php), "zygote",
                         "--link-fd",          std::to_string(HelperProgram::kLinkFd),
                         "--ini-dir",          kind.php.ini_dir};
    if (kind.php.name != default_php_) {
      options.arguments.emplace_back("--name");
      options.arguments.push_back(kind.php.name);
    }
    if (kind.opcache_mib != 0) {
      options.arguments.emplace_back("--opcache-size");
      options.arguments.push_back(std::to_string(kind.opcache_mib));
    }
    zygote = Zygote::make(io_, "paddock-php" + kind.php.name + " zygote", std::move(options), on_gone_);
    zygote->start();
  }
  return zygote;
}

void Zygotes::stop() {
  for (const auto &[kind, zygote] : by_kind_) zygote->stop();
}

bool Zygotes::running() const {
  return std::any_of(by_kind_.begin(), by_kind_.end(),
                     [](const auto &entry) { return entry.second->program().running(); });
}

}  // namespace paddock::supervisor
