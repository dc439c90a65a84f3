#include "supervisor/back_off.h"

#include <catch2/catch.hpp>

using paddock::supervisor::BackOff;
using std::chrono::milliseconds;

TEST_CASE("back-off doubles up to its bound and forgets after a healthy life") {
  BackOff back_off;
  auto now = BackOff::Clock::time_point{} + std::chrono::hours(1);
  back_off.started(now);
  CHECK(back_off.failed(now) == BackOff::kFirst);
  CHECK(back_off.failed(now) == 2 * BackOff::kFirst);
  BackOff::Clock::duration last{};
  for (int i = 0; i < 40; ++i) last = back_off.failed(now);
  CHECK(last == BackOff::kLongest);
  back_off.started(now);
  now += BackOff::kHealthy;
  CHECK(back_off.failed(now) == BackOff::kFirst);
}
