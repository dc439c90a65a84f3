#include "dashboard/live_data.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/file.h"

namespace paddock::dashboard {
namespace {

// Counters never fall, but what a damaged history lost is begun again.
double more(std::uint64_t now, std::uint64_t before) {
  return now > before ? static_cast<double>(now - before) : 0;
}

Rates rates_between(const control::Usage &before, const control::Usage &now, double seconds) {
  if (seconds <= 0) return {};
  Rates rates;
  rates.cpu_percent =
      more(now.cpu_user_us + now.cpu_system_us, before.cpu_user_us + before.cpu_system_us) / seconds / 1e4;
  const double requests = more(now.requests, before.requests);
  rates.requests_per_s = requests / seconds;
  rates.refused_per_s = more(now.refused, before.refused) / seconds;
  rates.io_bytes_per_s =
      more(now.io_read_bytes + now.io_written_bytes, before.io_read_bytes + before.io_written_bytes) /
      seconds;
  if (requests > 0) rates.run_ms = more(now.request_us, before.request_us) / requests / 1e3;
  if (const double queued = more(now.queued, before.queued); queued > 0)
    rates.queue_ms = more(now.queue_us, before.queue_us) / queued / 1e3;
  return rates;
}

}  // namespace

void LiveData::take(control::Status status) {
  up_ = true;
  host_ = std::move(status.host);
  std::map<std::string, TenantLive> fresh;
  for (auto &tenant : status.tenants) {
    const std::string name = tenant.name;
    auto known = tenants_.extract(name);
    TenantLive live = known ? std::move(known.mapped()) : TenantLive{};
    live.status = std::move(tenant);
    fresh.emplace(name, std::move(live));
  }
  tenants_ = std::move(fresh);
}

void LiveData::take(const control::Samples &samples) {
  const double seconds = static_cast<double>(samples.time_ms - sampled_at_ms_) / 1e3;
  for (auto &[name, live] : tenants_) live.running = false;
  for (const auto &sample : samples.tenants) {
    const auto found = tenants_.find(sample.tenant);
    if (found == tenants_.end()) continue;  // new; the next status tells
    TenantLive &live = found->second;
    live.rates = live.sample ? rates_between(live.sample->total, sample.total, seconds) : Rates{};
    live.sample = sample;
    live.running = true;
  }
  sampled_at_ms_ = samples.time_ms;
  for (auto &[name, live] : tenants_) {
    if (!live.running) {
      live.rates = {};
      if (live.history.empty()) continue;
      // One that ran a while ago and does not: its line goes down to 0, and in the end there is none.
      if (std::all_of(live.history.begin(), live.history.end(),
                      [](const Point &point) { return point.memory_bytes == 0 && point.cpu_percent == 0; })) {
        live.history.clear();
        continue;
      }
    }
    live.history.push_back({samples.time_ms, live.rates.cpu_percent,
                            live.running ? static_cast<double>(live.sample->memory_bytes) : 0,
                            live.rates.requests_per_s});
    if (live.history.size() > kHistory) live.history.pop_front();
  }
}

Machine MachineReader::read() {
  Machine machine;
  const auto now = std::chrono::steady_clock::now();
  if (const auto stat = read_file("/proc/stat"); stat) {
    std::istringstream line(stat->substr(0, stat->find('\n')));
    std::string word;
    line >> word;
    std::uint64_t busy = 0;
    std::uint64_t value = 0;
    // proc(5): user nice system idle iowait irq softirq steal
    for (int field = 0; field < 8 && line >> value; ++field)
      if (field != 3 && field != 4) busy += value;
    const double seconds = std::chrono::duration<double>(now - read_at_).count();
    if (busy_ticks_ != 0 && seconds > 0)
      machine.cpu_percent =
          more(busy, busy_ticks_) / static_cast<double>(::sysconf(_SC_CLK_TCK)) / seconds * 100;
    busy_ticks_ = busy;
    read_at_ = now;
  }
  if (const auto meminfo = read_file("/proc/meminfo"); meminfo) {
    std::istringstream lines(*meminfo);
    std::string key;
    std::string rest;
    std::uint64_t kib = 0;
    while (lines >> key >> kib && std::getline(lines, rest)) {
      if (key == "MemTotal:") machine.memory_bytes = kib * 1024;
      if (key == "MemAvailable:") machine.memory_available_bytes = kib * 1024;
    }
  }
  if (const auto load = read_file("/proc/loadavg"); load) std::istringstream(*load) >> machine.load;
  machine.cpus = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  return machine;
}

}  // namespace paddock::dashboard
