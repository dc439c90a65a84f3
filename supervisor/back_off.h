// How long to wait before something that keeps ending is started again.
#pragma once

#include <algorithm>
#include <chrono>

namespace paddock::supervisor {

class BackOff {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::duration kFirst = std::chrono::milliseconds(100);
  static constexpr Clock::duration kLongest = std::chrono::seconds(30);
  // What lived as long as this is not failing; its next end counts as the first again.
  static constexpr Clock::duration kHealthy = std::chrono::seconds(20);

  void started(Clock::time_point now = Clock::now()) { started_ = now; }
  // The wait after an end: kFirst, doubled with each that follows a short life.
  [[nodiscard]] Clock::duration failed(Clock::time_point now = Clock::now()) {
    if (now - started_ >= kHealthy) delay_ = Clock::duration::zero();
    delay_ = delay_ == Clock::duration::zero() ? kFirst : std::min(delay_ * 2, kLongest);
    return delay_;
  }
  void reset() { delay_ = Clock::duration::zero(); }

 private:
  Clock::time_point started_{};
  Clock::duration delay_{};
};

}  // namespace paddock::supervisor
