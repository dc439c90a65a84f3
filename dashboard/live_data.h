// What is known about all tenants at this moment, and how it came to be in the last minutes: what pages show
// and Prometheus scrapes. Filled from the control socket's status and samples.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "protocols/control/result.h"
#include "protocols/control/usage_result.h"

namespace paddock::dashboard {

// Between two samples.
struct Rates {
  double cpu_percent = 0;  // of one core
  double requests_per_s = 0;
  double refused_per_s = 0;
  double io_bytes_per_s = 0;
  double run_ms = 0;    // of a request, on average
  double queue_ms = 0;  // of a request that had to wait
};

struct Point {
  std::int64_t time_ms = 0;
  double cpu_percent = 0;
  double memory_bytes = 0;
  double requests_per_s = 0;
};

struct TenantLive {
  control::TenantStatus status;
  // The last of its sandbox. Its counters hold when the sandbox has gone; its gauges do not.
  std::optional<control::TenantSample> sample;
  bool running = false;  // the sample is of now
  Rates rates;
  std::deque<Point> history;
};

// The whole host, as /proc says.
struct Machine {
  unsigned cpus = 1;
  double cpu_percent = 0;  // of one core, all processes
  double load = 0;         // of the last minute
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_available_bytes = 0;
};

class LiveData {
 public:
  static constexpr std::size_t kHistory = 300;

  // All tenants; those that are not in it are gone.
  void take(control::Status status);
  void take(const control::Samples &samples);
  void take(const Machine &machine) { machine_ = machine; }
  // The supervisor does not answer.
  void lost() { up_ = false; }

  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] const std::optional<control::HostStatus> &host() const { return host_; }
  [[nodiscard]] const std::map<std::string, TenantLive> &tenants() const { return tenants_; }
  [[nodiscard]] const Machine &machine() const { return machine_; }
  [[nodiscard]] std::int64_t sampled_at_ms() const { return sampled_at_ms_; }

 private:
  bool up_ = false;
  std::optional<control::HostStatus> host_;
  std::map<std::string, TenantLive> tenants_;
  Machine machine_;
  std::int64_t sampled_at_ms_ = 0;
};

// Reads /proc/stat, /proc/meminfo and /proc/loadavg; the CPU's use is that since the last call.
class MachineReader {
 public:
  Machine read();

 private:
  std::uint64_t busy_ticks_ = 0;
  std::chrono::steady_clock::time_point read_at_;
};

}  // namespace paddock::dashboard
