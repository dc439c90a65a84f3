// CLOCK_MONOTONIC as a number: what the scoreboard and the messages between programs carry. One clock for the
// host and every sandbox, since no time namespace is made.
#pragma once

#include <time.h>

#include <cstdint>

namespace paddock {

// Nanoseconds. A vDSO call: no system call on the request path.
inline std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace paddock
