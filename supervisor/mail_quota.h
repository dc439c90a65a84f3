// How much of something was used in the last hour.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace paddock::supervisor {

// Counts by the minute: what is older than 60 minutes, or up to one less, is forgotten.
class MailQuota {
 public:
  using Clock = std::chrono::steady_clock;

  // False, and nothing is counted: `amount` more would be past `limit` in this hour.
  bool take(std::uint32_t amount, std::uint32_t limit, Clock::time_point now = Clock::now());
  // What take() has counted does not count after all.
  void give_back(std::uint32_t amount, Clock::time_point now = Clock::now());
  [[nodiscard]] std::uint64_t used(Clock::time_point now = Clock::now());

 private:
  void forget(std::int64_t minute);

  static constexpr std::int64_t kMinutes = 60;
  std::array<std::uint32_t, kMinutes> minutes_{};
  std::int64_t last_ = 0;  // the minute that minutes_[last_ % 60] is for
};

}  // namespace paddock::supervisor
