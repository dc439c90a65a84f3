// Turns successive readings of a tenant's sources into what was used between them.
//
// Pure: reads no file and no clock. Sources begin at 0 again with each run (a new sandbox has a new cgroup
// and a new scoreboard); totals never do.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "accounting/counters.h"

namespace paddock::accounting {

// Names a cgroup as no other is named, over restarts of Paddock and of the machine: the directory's inode
// number, which is unique within a boot, with /proc/sys/kernel/random/boot_id. Never 0.
[[nodiscard]] std::uint64_t run_identity(std::string_view boot_id, std::uint64_t inode);

// How far the kernel's figures of one run have been counted. Kept beside the totals, so that a supervisor
// that finds a cgroup of its predecessor counts on from there, and neither twice nor from 0.
struct Mark {
  std::uint64_t run = 0;  // 0: of no run
  Counters counters;      // those of Source::kKernel

  bool operator==(const Mark &) const = default;
};

// The most that so many worker processes can have done in that time: requests, and wall time of requests.
[[nodiscard]] std::uint64_t most_requests(std::uint32_t workers, std::chrono::nanoseconds age);
[[nodiscard]] std::uint64_t most_time_ns(std::uint32_t workers, std::chrono::nanoseconds age);

class Meter {
 public:
  explicit Meter(const Mark &mark = {});

  // Each read takes a source's figures as they stand (only the source's own fields are looked at) and the run
  // they belong to, not 0. A figure of a new run counts whole, one of the same run from the highest that it
  // has shown: one that falls counts nothing until it has passed that again, so that nobody can make totals
  // fall, or grow by turning a figure back and forth. The last read of a run, before its cgroup is removed,
  // is like any other.
  void read_kernel(std::uint64_t run, const Counters &figures) { read(Source::kKernel, run, figures); }
  void read_gateway(std::uint64_t run, const Counters &figures) { read(Source::kGateway, run, figures); }
  void read_network(std::uint64_t run, const Counters &figures) { read(Source::kNetwork, run, figures); }
  // The scoreboard, which the tenant can write: `workers` processes that have existed for `age` cannot have
  // done more than that much wall time, nor more requests than any PHP answers; the rest is not believed.
  void read_board(std::uint64_t run, Counters figures, std::uint32_t workers, std::chrono::nanoseconds age);

  // What a running sandbox holds, as it was for the last `elapsed` (more than a minute is taken as one: a
  // supervisor that did not run must not charge for the gap).
  void observe(const Gauges &gauges, std::chrono::milliseconds elapsed);
  // No sandbox any more: gauges() are 0.
  void ended();
  // For what the supervisor counts itself: count(&Counters::starts).
  void count(std::uint64_t Counters::*counter, std::uint64_t times = 1);

  [[nodiscard]] const Gauges &gauges() const { return gauges_; }
  // What was used since the last take().
  [[nodiscard]] Usage take();
  // Goes with the increments that take() has given so far: store both at once.
  [[nodiscard]] const Mark &mark() const { return marks_[0]; }

 private:
  static constexpr std::size_t kSources = 4;  // those that are read: the first of Source

  void read(Source source, std::uint64_t run, const Counters &figures);
  void integrate(std::uint64_t Counters::*counter, std::uint64_t value, std::uint64_t unit,
                 std::uint64_t &remainder, std::chrono::milliseconds elapsed);

  std::array<Mark, kSources> marks_;
  Usage increment_;
  Gauges gauges_;
  Peaks run_peaks_;  // the kernel's own, as last seen, of the run of Source::kKernel
  std::array<std::uint64_t, 7> remainders_{};
};

}  // namespace paddock::accounting
