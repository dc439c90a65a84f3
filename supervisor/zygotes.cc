#include "supervisor/zygotes.h"

#include <algorithm>
#include <set>
#include <utility>

namespace paddock::supervisor {

Zygotes::Zygotes(boost::asio::io_context &io, SpawnOptions options, Zygote::OnGone on_gone)
    : io_(io), options_(std::move(options)), on_gone_(std::move(on_gone)) {}

void Zygotes::want(const policies::Config &config) {
  std::set<std::uint32_t> sizes = {0};
  for (const auto &[name, tenant] : config.tenants) sizes.insert(config.plan_of(*tenant).opcache_mib);
  std::erase_if(by_opcache_mib_, [&](const auto &entry) { return !sizes.contains(entry.first); });
  for (const std::uint32_t size : sizes) of(size);
}

const std::shared_ptr<Zygote> &Zygotes::of(std::uint32_t opcache_mib) {
  auto &zygote = by_opcache_mib_[opcache_mib];
  if (!zygote) {
    SpawnOptions options = options_;
    if (opcache_mib != 0) {
      options.arguments.emplace_back("--opcache-size");
      options.arguments.push_back(std::to_string(opcache_mib));
    }
    zygote = Zygote::make(io_, std::move(options), on_gone_);
    zygote->start();
  }
  return zygote;
}

void Zygotes::stop() {
  for (const auto &[size, zygote] : by_opcache_mib_) zygote->stop();
}

bool Zygotes::running() const {
  return std::any_of(by_opcache_mib_.begin(), by_opcache_mib_.end(),
                     [](const auto &entry) { return entry.second->program().running(); });
}

}  // namespace paddock::supervisor
