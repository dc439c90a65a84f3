#include "accounting/meter.h"

#include <algorithm>
#include <cassert>

namespace paddock::accounting {
namespace {

// A bare responder in C answers 14,000 requests a second with four workers; no PHP comes near ten times that
// with one.
constexpr double kRequestsPerWorkerSecond = 35'000;
// 100 Gbit/s
constexpr double kBytesPerSecond = 12.5e9;
// Past any machine, and far from overflow when multiplied by a minute in milliseconds.
constexpr std::uint64_t kLargestGauge = 1ULL << 44;

constexpr std::chrono::milliseconds kLongestGap = std::chrono::minutes(1);

constexpr bool is_read(Source source) {
  return source < Source::kSupervisor;
}

std::uint64_t to_count(double value) {
  constexpr double kLargest = 9.2e18;
  return static_cast<std::uint64_t>(std::clamp(value, 0.0, kLargest));
}

}  // namespace

std::uint64_t run_identity(std::string_view boot_id, std::uint64_t inode) {
  // FNV-1a (RFC 9923); what it guards against is chance, not an attacker.
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&hash](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const char c : boot_id) mix(static_cast<std::uint8_t>(c));
  for (int shift = 0; shift < 64; shift += 8) mix(static_cast<std::uint8_t>(inode >> shift));
  return hash == 0 ? 1 : hash;
}

std::uint64_t most_requests(std::uint32_t workers, std::chrono::nanoseconds age) {
  return to_count(kRequestsPerWorkerSecond * std::max(workers, 1U) *
                  std::chrono::duration<double>(age).count());
}

std::uint64_t most_time_ns(std::uint32_t workers, std::chrono::nanoseconds age) {
  return to_count(1e9 * std::max(workers, 1U) * std::chrono::duration<double>(age).count());
}

Meter::Meter(const Mark &mark) {
  marks_[static_cast<std::size_t>(Source::kKernel)] = mark;
}

void Meter::read(Source source, std::uint64_t run, const Counters &figures) {
  assert(is_read(source));
  Mark &mark = marks_[static_cast<std::size_t>(source)];
  if (mark.run != run) {
    mark = {run, {}};
    if (source == Source::kKernel) run_peaks_ = {};
  }
  Usage more;
  for (const CounterField &field : counter_fields()) {
    if (field.source != source) continue;
    const std::uint64_t now = figures.*field.member;
    std::uint64_t &highest = mark.counters.*field.member;
    if (now <= highest) continue;
    more.counters.*field.member = now - highest;
    highest = now;
  }
  increment_.add(more);
}

void Meter::read_board(std::uint64_t run, Counters figures, std::uint32_t workers,
                       std::chrono::nanoseconds age) {
  const double seconds = std::chrono::duration<double>(age).count();
  figures.requests = std::min(figures.requests, most_requests(workers, age));
  figures.request_ns = std::min(figures.request_ns, most_time_ns(workers, age));
  figures.late = std::min(figures.late, most_requests(workers, age));
  figures.bytes_in = std::min(figures.bytes_in, to_count(kBytesPerSecond * seconds));
  figures.bytes_out = std::min(figures.bytes_out, to_count(kBytesPerSecond * seconds));
  read(Source::kBoard, run, figures);
}

void Meter::integrate(std::uint64_t Counters::*counter, std::uint64_t value, std::uint64_t unit,
                      std::uint64_t &remainder, std::chrono::milliseconds elapsed) {
  const std::uint64_t scale = unit * 1000;
  const std::uint64_t amount =
      std::min(value, kLargestGauge) * static_cast<std::uint64_t>(elapsed.count()) + remainder;
  increment_.counters.*counter += amount / scale;
  remainder = amount % scale;
}

void Meter::observe(const Gauges &gauges, std::chrono::milliseconds elapsed) {
  gauges_ = gauges;
  elapsed = std::clamp(elapsed, std::chrono::milliseconds(0), kLongestGap);
  increment_.counters.active_ms += static_cast<std::uint64_t>(elapsed.count());
  std::size_t next = 0;
  const auto bytes = [&](std::uint64_t Counters::*counter, std::uint64_t value) {
    integrate(counter, value, 1024, remainders_[next++], elapsed);
  };
  bytes(&Counters::memory_kib_s, gauges.memory_bytes);
  bytes(&Counters::anon_kib_s, gauges.anon_bytes);
  bytes(&Counters::file_kib_s, gauges.file_bytes);
  bytes(&Counters::kernel_kib_s, gauges.kernel_bytes);
  bytes(&Counters::shmem_kib_s, gauges.shmem_bytes);
  bytes(&Counters::sock_kib_s, gauges.sock_bytes);
  integrate(&Counters::pids_s, gauges.pids, 1, remainders_[next++], elapsed);
  // memory.peak and pids.peak are of the whole run: in a minute's sample they would repeat an old peak for as
  // long as the sandbox lives. Only where they have risen are they news.
  Peaks &peaks = increment_.peaks;
  peaks.memory_bytes = std::max(peaks.memory_bytes, gauges.memory_bytes);
  peaks.pids = std::max(peaks.pids, gauges.pids);
  if (gauges.memory_peak_bytes > run_peaks_.memory_bytes) {
    run_peaks_.memory_bytes = gauges.memory_peak_bytes;
    peaks.memory_bytes = std::max(peaks.memory_bytes, gauges.memory_peak_bytes);
  }
  if (gauges.pids_peak > run_peaks_.pids) {
    run_peaks_.pids = gauges.pids_peak;
    peaks.pids = std::max(peaks.pids, gauges.pids_peak);
  }
}

void Meter::ended() {
  gauges_ = {};
}

void Meter::count(std::uint64_t Counters::*counter, std::uint64_t times) {
  Usage more;
  more.counters.*counter = times;
  increment_.add(more);
}

Usage Meter::take() {
  const Usage taken = increment_;
  increment_ = {};
  return taken;
}

}  // namespace paddock::accounting
