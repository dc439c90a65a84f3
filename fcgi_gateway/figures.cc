#include "fcgi_gateway/figures.h"

#include <iterator>
#include <numeric>

#include "base/latency_buckets.h"

namespace paddock::fcgi_gateway {
namespace {

// What was taken from the queue as soon as it had come has not waited.
constexpr auto kNoWait = std::chrono::milliseconds(1);

}  // namespace

void Figures::refused(std::uint32_t tenant, const std::string &reason, std::uint64_t requests) {
  tenants_[tenant].refused[reason] += requests;
  schedule();
}

std::uint32_t Figures::held(std::uint32_t tenant) const {
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end()) return 0;
  return std::accumulate(found->second.held.begin(), found->second.held.end(), std::uint32_t{0});
}

void Figures::hold(std::uint32_t tenant, Held what, int change) {
  tenants_[tenant].held[static_cast<std::size_t>(what)] += static_cast<std::uint32_t>(change);
  schedule();
}

void Figures::waited(std::uint32_t tenant, std::chrono::steady_clock::duration time) {
  if (time < kNoWait) return;
  Tenant &entry = tenants_[tenant];
  ++entry.queued;
  entry.queue_us +=
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
  entry.by_time.resize(kLatencyBuckets);
  ++entry.by_time[latency_bucket(static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count()))];
  schedule();
}

void Figures::schedule() {
  if (timer_ != 0) return;
  timer_ = loop_.after(interval_, [this] {
    timer_ = 0;
    report();
  });
}

bool Figures::report(std::uint32_t number, Tenant &tenant) {
  while (!tenant.refused.empty()) {
    const auto first = tenant.refused.begin();
    if (!sink_.refused({number, first->first, first->second})) return false;
    tenant.refused.erase(first);
  }
  if (tenant.queued == 0 && tenant.held == tenant.told) return true;
  gateway_link::Waiting waiting;
  waiting.tenant = number;
  waiting.queue = tenant.held[static_cast<std::size_t>(Held::kQueued)];
  waiting.slow = tenant.held[static_cast<std::size_t>(Held::kSlow)];
  waiting.unread = tenant.held[static_cast<std::size_t>(Held::kUnread)];
  waiting.queued = tenant.queued;
  waiting.queue_us = tenant.queue_us;
  waiting.by_time = tenant.by_time;
  if (!sink_.waiting(waiting)) return false;
  tenant.told = tenant.held;
  tenant.queued = tenant.queue_us = 0;
  tenant.by_time.clear();
  return true;
}

void Figures::report() {
  bool again = false;
  for (auto at = tenants_.begin(); at != tenants_.end();) {
    const bool told = report(at->first, at->second);
    if (!told) again = true;
    at = told && at->second.held == Now{} ? tenants_.erase(at) : std::next(at);
  }
  if (again) schedule();
}

}  // namespace paddock::fcgi_gateway
