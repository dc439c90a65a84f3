// What a tenant has used: figures that only ever grow, and the highest marks of those that do not.
//
// Lifetime totals, the use within one minute, and the difference between two samples are all a Usage; they
// add up. A figure that cannot be had on this host (no memory controller, say) stays 0.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

namespace paddock::accounting {

// Wall clock, as history and events keep it: UTC, milliseconds.
using Time = std::chrono::sys_time<std::chrono::milliseconds>;

// Who says a figure. Each source begins at 0 again at times of its own (a new cgroup with each sandbox, a new
// gateway process), see Meter.
enum class Source : std::uint8_t {
  kKernel,      // the cgroup's files
  kBoard,       // the workers' scoreboard: the tenant can write anything there
  kGateway,     // the gateway, about requests that it answered, queued or timed
  kNetwork,     // counters of the tenant's network namespace
  kSupervisor,  // counted one by one as they happen
  kDerived,     // from gauges, by Meter
};

struct Counters {
  // cpu.stat
  std::uint64_t cpu_user_us = 0;
  std::uint64_t cpu_system_us = 0;
  std::uint64_t cpu_periods = 0;            // enforcement periods in which something ran
  std::uint64_t cpu_throttled_periods = 0;  // of these, those in which the quota ran out
  std::uint64_t cpu_throttled_us = 0;       // summed over CPUs
  // io.stat, summed over devices
  std::uint64_t io_read_bytes = 0;
  std::uint64_t io_written_bytes = 0;
  std::uint64_t io_reads = 0;
  std::uint64_t io_writes = 0;
  // memory.events, pids.events
  std::uint64_t oom_kills = 0;
  std::uint64_t memory_high_events = 0;
  std::uint64_t memory_max_events = 0;
  std::uint64_t forks_refused = 0;
  // *.pressure (psi.rst): time in which some, or all, of the tenant's tasks stood still
  std::uint64_t cpu_some_us = 0;
  std::uint64_t cpu_full_us = 0;
  std::uint64_t memory_some_us = 0;
  std::uint64_t memory_full_us = 0;
  std::uint64_t io_some_us = 0;
  std::uint64_t io_full_us = 0;
  // Executed by workers
  std::uint64_t requests = 0;
  std::uint64_t request_ns = 0;  // their wall time
  std::uint64_t bytes_in = 0;    // request bodies
  std::uint64_t bytes_out = 0;   // responses
  std::uint64_t late = 0;        // past their deadline
  // At the gateway
  std::uint64_t refused = 0;
  std::uint64_t queued = 0;
  std::uint64_t queue_ns = 0;
  // On the tenant's network
  std::uint64_t net_in_bytes = 0;
  std::uint64_t net_out_bytes = 0;
  // Messages: taken by the host's MTA; refused by it, by the broker or the plan's limits
  std::uint64_t mails = 0;
  std::uint64_t mails_refused = 0;
  // Of the sandbox
  std::uint64_t starts = 0;
  std::uint64_t crashes = 0;
  // Gauges times time: divided by a span, these are averages over it.
  std::uint64_t active_ms = 0;  // time with a sandbox
  std::uint64_t memory_kib_s = 0;
  std::uint64_t anon_kib_s = 0;
  std::uint64_t file_kib_s = 0;
  std::uint64_t kernel_kib_s = 0;
  std::uint64_t shmem_kib_s = 0;
  std::uint64_t sock_kib_s = 0;
  std::uint64_t pids_s = 0;

  bool operator==(const Counters &) const = default;
};

// The highest values seen.
struct Peaks {
  std::uint64_t memory_bytes = 0;
  std::uint64_t pids = 0;

  bool operator==(const Peaks &) const = default;
};

struct Usage {
  Counters counters;
  Peaks peaks;

  // Sums the counters (they stay at the largest std::int64_t rather than overflow: that is what the database
  // holds) and keeps the higher peaks.
  void add(const Usage &more);
  [[nodiscard]] bool empty() const { return *this == Usage{}; }
  [[nodiscard]] std::uint64_t cpu_us() const { return counters.cpu_user_us + counters.cpu_system_us; }
  [[nodiscard]] std::uint64_t io_bytes() const { return counters.io_read_bytes + counters.io_written_bytes; }

  bool operator==(const Usage &) const = default;
};

// What is so at one moment, of a running sandbox.
struct Gauges {
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_peak_bytes = 0;  // memory.peak, or 0 where the kernel has none: then samples give it
  std::uint64_t swap_bytes = 0;
  std::uint64_t anon_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t kernel_bytes = 0;
  std::uint64_t shmem_bytes = 0;
  std::uint64_t sock_bytes = 0;
  std::uint64_t pids = 0;
  std::uint64_t pids_peak = 0;  // as memory_peak_bytes
  // Percent of the last 10 s, from the *.pressure files
  double cpu_some_avg10 = 0;
  double cpu_full_avg10 = 0;
  double memory_some_avg10 = 0;
  double memory_full_avg10 = 0;
  double io_some_avg10 = 0;
  double io_full_avg10 = 0;

  bool operator==(const Gauges &) const = default;
};

// A counter by name: the columns of the database, the keys of JSON.
struct CounterField {
  const char *name;
  std::uint64_t Counters::*member;
  Source source;
};
// All of Counters, in the order of their declaration.
[[nodiscard]] std::span<const CounterField> counter_fields();

}  // namespace paddock::accounting
