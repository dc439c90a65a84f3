// How requests ended and how long they took, since this supervisor knows the tenant: for /metrics. Not in the
// history, which keeps sums.
//
// Pure, as Meter is. The figures come from the scoreboard, where the tenant can write anything.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "base/latency_buckets.h"

namespace paddock::accounting {

struct RequestFigures {
  std::array<std::uint64_t, 6> by_class{};               // by the status' first digit; 0: no answer
  std::array<std::uint64_t, kLatencyBuckets> by_time{};  // each its own requests, not those below
  std::uint64_t time_ns = 0;                             // all of theirs

  bool operator==(const RequestFigures &) const = default;
};

class RequestMeter {
 public:
  // A reading of the run's figures as they stand, which began at 0 with the run. None makes the totals fall;
  // what `workers` processes cannot have done within `age` is not believed.
  void read(std::uint64_t run, const RequestFigures &figures, std::uint32_t workers,
            std::chrono::nanoseconds age);
  [[nodiscard]] const RequestFigures &total() const { return total_; }

 private:
  std::uint64_t run_ = 0;
  RequestFigures highest_;  // that the run has shown
  RequestFigures total_;
};

}  // namespace paddock::accounting
