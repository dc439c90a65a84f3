// The buckets in which durations of requests are counted, wherever they are measured: one more number for
// each request, and percentiles for the admin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace paddock {

// Upper bounds, inclusive. From a page out of a cache to what most deadlines allow.
inline constexpr std::array<std::uint64_t, 11> kLatencyBoundsMs = {2,   5,   10,   25,   50,    100,
                                                                   250, 500, 1000, 5000, 30'000};
// The last counts what is beyond all bounds.
inline constexpr std::size_t kLatencyBuckets = kLatencyBoundsMs.size() + 1;

constexpr std::size_t latency_bucket(std::uint64_t nanoseconds) {
  std::size_t bucket = 0;
  while (bucket < kLatencyBoundsMs.size() && nanoseconds > kLatencyBoundsMs[bucket] * 1'000'000) ++bucket;
  return bucket;
}

}  // namespace paddock
