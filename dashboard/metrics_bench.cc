// What a scrape of /metrics costs the dashboard with 1,000 tenants that all run (./dev bench --only
// dashboard). The rest of a scrape is a write to a socket; the supervisor is not asked.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "base/latency_buckets.h"
#include "dashboard/metrics.h"
#include "dashboard/page_json.h"

using namespace paddock;
using namespace paddock::dashboard;

namespace {

constexpr int kTenants = 1000;
constexpr int kRuns = 50;

LiveData busy_host() {
  control::Status status;
  status.host.emplace();
  control::Samples samples;
  LiveData data;
  for (int i = 0; i < kTenants; ++i) {
    status.tenants.emplace_back();
    status.tenants.back().name = "tenant" + std::to_string(i);
    status.tenants.back().state = control::TenantState::kRunning;
    status.tenants.back().queued_by_time.assign(kLatencyBuckets, 1'234);
    status.tenants.back().refused_for = {{"queue-full", 17}, {"queue-time", 3}};
    status.tenants.back().memory_max_bytes = 512 << 20;
    samples.tenants.emplace_back();
    samples.tenants.back().tenant = status.tenants.back().name;
    samples.tenants.back().requests_by_class = {0, 0, 123'456, 7'890, 123, 4};
    samples.tenants.back().requests_by_time.assign(kLatencyBuckets, 12'345);
  }
  data.take(std::move(status));
  for (std::uint64_t time = 1; time <= LiveData::kHistory; ++time) {
    samples.time_ms = static_cast<std::int64_t>(time * 2000);
    for (auto &tenant : samples.tenants) {
      tenant.memory_bytes = 100'000'000 + time * 4096;
      tenant.total.cpu_user_us = time * 1'234'567;
      tenant.total.requests = time * 77;
      tenant.total.request_us = time * 77 * 4321;
    }
    data.take(samples);
  }
  return data;
}

// WHAT<TAB>MEDIAN<TAB>LEAST<TAB>GREATEST<TAB>BYTES, times in milliseconds: for tests/bench/run.
template <typename Work>
void measure(const char *what, Work work) {
  std::vector<double> times;
  std::size_t size = 0;
  for (int i = 0; i < kRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    size = work();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%s\t%.2f\t%.2f\t%.2f\t%zu\n", what, times[kRuns / 2], times.front(), times.back(), size);
}

}  // namespace

int main() {
  const LiveData data = busy_host();
  Session admin;
  admin.admin = true;
  measure("a scrape of /metrics", [&] { return metrics(data, {}, MetricsFormat::kOpenMetrics).size(); });
  measure("a page's first picture", [&] { return overview_json(data, admin).size(); });
  measure("each one after", [&] { return tick_json(data, admin).size(); });
  return 0;
}
