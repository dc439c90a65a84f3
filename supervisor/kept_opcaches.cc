#include "supervisor/kept_opcaches.h"

#include <iterator>

#include "base/log.h"

namespace paddock::supervisor {

void KeptOpcaches::set_limit(std::uint64_t bytes) {
  limit_ = bytes;
  drop_beyond_limit();
}

void KeptOpcaches::keep(const std::string &tenant, KeptOpcache kept, std::chrono::milliseconds time) {
  drop(tenant);
  const Clock::time_point until = Clock::now() + time;
  const std::uint64_t bytes = kept.files.held();
  entries_.push_back({tenant, std::move(kept), bytes, until});
  const auto position = std::prev(entries_.end());
  by_tenant_.emplace(tenant, position);
  by_time_.emplace(until, tenant);
  held_ += bytes;
  if (time <= std::chrono::milliseconds::zero()) return drop(position);
  drop_beyond_limit();
  watch_time();
}

std::optional<KeptOpcache> KeptOpcaches::take(const std::string &tenant, std::uint64_t zygote) {
  const auto found = by_tenant_.find(tenant);
  if (found == by_tenant_.end()) return std::nullopt;
  if (found->second->kept.files.zygote == zygote) return remove(found->second);
  drop(found->second);
  return std::nullopt;
}

void KeptOpcaches::drop(const std::string &tenant) {
  if (const auto found = by_tenant_.find(tenant); found != by_tenant_.end()) drop(found->second);
}

void KeptOpcaches::drop_all() {
  while (!entries_.empty()) drop(entries_.begin());
}

void KeptOpcaches::drop_of(std::uint64_t zygote) {
  for (auto next = entries_.begin(); next != entries_.end();) {
    const auto position = next++;
    if (position->kept.files.zygote == zygote) drop(position);
  }
}

bool KeptOpcaches::relieve() {
  const std::size_t wanted = (entries_.size() + 1) / 2;
  for (std::size_t i = 0; i < wanted; ++i) drop(entries_.begin());
  return wanted > 0;
}

std::uint64_t KeptOpcaches::held(const std::string &tenant) const {
  const auto found = by_tenant_.find(tenant);
  return found == by_tenant_.end() ? 0 : found->second->bytes;
}

KeptOpcache KeptOpcaches::remove(Entries::iterator position) {
  by_time_.erase({position->until, position->tenant});
  by_tenant_.erase(position->tenant);
  held_ -= position->bytes;
  KeptOpcache kept = std::move(position->kept);
  entries_.erase(position);
  return kept;
}

void KeptOpcaches::drop(Entries::iterator position) {
  const KeptOpcache kept = remove(position);
  if (!kept.cgroup.valid()) return;
  if (const auto removed = kept.cgroup.remove(std::chrono::milliseconds(0)); !removed)
    log::warning(removed.error().message());
}

void KeptOpcaches::drop_beyond_limit() {
  while (held_ > limit_ && !entries_.empty()) drop(entries_.begin());
}

void KeptOpcaches::watch_time() {
  if (by_time_.empty()) return;
  if (timer_.expiry() == by_time_.begin()->first) return;
  timer_.expires_at(by_time_.begin()->first);
  timer_.async_wait([this](const boost::system::error_code &error) {
    if (error) return;
    while (!by_time_.empty() && by_time_.begin()->first <= Clock::now())
      drop(std::string(by_time_.begin()->second));
    watch_time();
  });
}

}  // namespace paddock::supervisor
