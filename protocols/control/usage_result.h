// What a tenant has used, and what it uses now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace paddock::control {

// Sums over a span of time, averages over the part of it in which a sandbox existed, and the highest values.
// 0 where the host has no controller that counts it.
struct Usage {
  std::uint64_t active_ms = 0;  // with a sandbox
  std::uint64_t starts = 0;     // of sandboxes
  std::uint64_t crashes = 0;    // of sandboxes and workers
  // cpu.stat; throttled: the plan's quota had run out
  std::uint64_t cpu_user_us = 0;
  std::uint64_t cpu_system_us = 0;
  std::uint64_t cpu_periods = 0;
  std::uint64_t cpu_throttled_periods = 0;
  std::uint64_t cpu_throttled_us = 0;
  // Averages, by kind; then the peak
  std::uint64_t memory_bytes = 0;
  std::uint64_t anon_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t kernel_bytes = 0;
  std::uint64_t shmem_bytes = 0;
  std::uint64_t sock_bytes = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t memory_high_events = 0;
  std::uint64_t memory_max_events = 0;
  std::uint64_t oom_kills = 0;
  std::uint64_t io_read_bytes = 0;
  std::uint64_t io_written_bytes = 0;
  std::uint64_t io_reads = 0;
  std::uint64_t io_writes = 0;
  double pids = 0;  // average
  std::uint64_t pids_peak = 0;
  std::uint64_t forks_refused = 0;
  // Pressure (psi.rst): time in which some, or all, of its tasks stood still
  std::uint64_t cpu_some_us = 0;
  std::uint64_t cpu_full_us = 0;
  std::uint64_t memory_some_us = 0;
  std::uint64_t memory_full_us = 0;
  std::uint64_t io_some_us = 0;
  std::uint64_t io_full_us = 0;
  std::uint64_t requests = 0;    // answered by workers
  std::uint64_t request_us = 0;  // their wall time
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t refused = 0;  // answered by the gateway in the workers' place
  std::uint64_t late = 0;     // past their deadline
  std::uint64_t queued = 0;   // waited in the gateway
  std::uint64_t queue_us = 0;
  std::uint64_t net_in_bytes = 0;
  std::uint64_t net_out_bytes = 0;
  std::uint64_t mails = 0;          // messages that the host's MTA took
  std::uint64_t mails_refused = 0;  // by it, by the broker or by the plan

  template <typename Io>
  void fields(Io &io) {
    io("active_ms", active_ms);
    io("starts", starts);
    io("crashes", crashes);
    io("cpu_user_us", cpu_user_us);
    io("cpu_system_us", cpu_system_us);
    io("cpu_periods", cpu_periods);
    io("cpu_throttled_periods", cpu_throttled_periods);
    io("cpu_throttled_us", cpu_throttled_us);
    io("memory_bytes", memory_bytes);
    io("anon_bytes", anon_bytes);
    io("file_bytes", file_bytes);
    io("kernel_bytes", kernel_bytes);
    io("shmem_bytes", shmem_bytes);
    io("sock_bytes", sock_bytes);
    io("memory_peak_bytes", memory_peak_bytes);
    io("memory_high_events", memory_high_events);
    io("memory_max_events", memory_max_events);
    io("oom_kills", oom_kills);
    io("io_read_bytes", io_read_bytes);
    io("io_written_bytes", io_written_bytes);
    io("io_reads", io_reads);
    io("io_writes", io_writes);
    io("pids", pids);
    io("pids_peak", pids_peak);
    io("forks_refused", forks_refused);
    io("cpu_some_us", cpu_some_us);
    io("cpu_full_us", cpu_full_us);
    io("memory_some_us", memory_some_us);
    io("memory_full_us", memory_full_us);
    io("io_some_us", io_some_us);
    io("io_full_us", io_full_us);
    io("requests", requests);
    io("request_us", request_us);
    io("bytes_in", bytes_in);
    io("bytes_out", bytes_out);
    io("refused", refused);
    io("late", late);
    io("queued", queued);
    io("queue_us", queue_us);
    io("net_in_bytes", net_in_bytes);
    io("net_out_bytes", net_out_bytes);
    io("mails", mails);
    io("mails_refused", mails_refused);
  }
};

// The use of one minute, hour or day (UTC).
struct UsageSample {
  std::int64_t start = 0;  // seconds since the epoch
  Usage usage;

  template <typename Io>
  void fields(Io &io) {
    io("start", start);
    io("usage", usage);
  }
};

struct TenantUsage {
  std::string tenant;
  Usage usage;
  std::vector<UsageSample> samples;  // where the request named a step; periods without use have none

  template <typename Io>
  void fields(Io &io) {
    io("tenant", tenant);
    io("usage", usage);
    io("samples", samples);
  }
};

struct UsageReport {
  std::int64_t since = 0;  // as asked for; to the minute, or further back to the hour or day
  std::int64_t until = 0;  // now
  std::vector<TenantUsage> tenants;

  template <typename Io>
  void fields(Io &io) {
    io("since", since);
    io("until", until);
    io("tenants", tenants);
  }
};

// A running sandbox at this moment. The counters count on over restarts of sandbox and supervisor: what came
// between two samples is their difference.
struct TenantSample {
  std::string tenant;
  std::uint32_t workers = 0;  // as the scoreboard says: the tenant can write anything there
  std::uint32_t busy = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t anon_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t kernel_bytes = 0;
  std::uint64_t shmem_bytes = 0;
  std::uint64_t sock_bytes = 0;
  std::uint64_t swap_bytes = 0;
  std::uint64_t pids = 0;
  // Percent of the last 10 s (psi.rst)
  double cpu_some_avg10 = 0;
  double memory_some_avg10 = 0;
  double memory_full_avg10 = 0;
  double io_some_avg10 = 0;
  double io_full_avg10 = 0;
  Usage total;  // since Paddock's first start on this state_dir
  // Since this supervisor started. Requests by the first digit of their status (0: no answer), and by how
  // long they ran: base/latency_buckets.h, each bucket without those below
  std::vector<std::uint64_t> requests_by_class;
  std::vector<std::uint64_t> requests_by_time;
  std::uint64_t requests_time_us = 0;

  template <typename Io>
  void fields(Io &io) {
    io("tenant", tenant);
    io("workers", workers);
    io("busy", busy);
    io("memory_bytes", memory_bytes);
    io("anon_bytes", anon_bytes);
    io("file_bytes", file_bytes);
    io("kernel_bytes", kernel_bytes);
    io("shmem_bytes", shmem_bytes);
    io("sock_bytes", sock_bytes);
    io("swap_bytes", swap_bytes);
    io("pids", pids);
    io("cpu_some_avg10", cpu_some_avg10);
    io("memory_some_avg10", memory_some_avg10);
    io("memory_full_avg10", memory_full_avg10);
    io("io_some_avg10", io_some_avg10);
    io("io_full_avg10", io_full_avg10);
    io("total", total);
    io("requests_by_class", requests_by_class);
    io("requests_by_time", requests_by_time);
    io("requests_time_us", requests_time_us);
  }
};

struct Samples {
  std::int64_t time_ms = 0;           // since the epoch
  std::vector<TenantSample> tenants;  // those that have a sandbox

  template <typename Io>
  void fields(Io &io) {
    io("time_ms", time_ms);
    io("tenants", tenants);
  }
};

}  // namespace paddock::control
