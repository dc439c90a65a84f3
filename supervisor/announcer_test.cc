#include "supervisor/announcer.h"

#include <catch2/catch.hpp>

using namespace paddock::supervisor;
using namespace std::chrono_literals;
using paddock::accounting::EventKind;

TEST_CASE("of a kind and tenant one event in a while is told, with how many were not") {
  AnnouncementLimit limit;
  limit.set(5min, 100);
  const AnnouncementLimit::Clock::time_point start{1h};
  CHECK(limit.pass(EventKind::kCrash, "alice", start) == 0);
  CHECK(limit.pass(EventKind::kCrash, "bob", start) == 0);
  CHECK(limit.pass(EventKind::kOomKill, "alice", start) == 0);
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(limit.pass(EventKind::kCrash, "alice", start + 1min));
  CHECK(limit.pass(EventKind::kCrash, "alice", start + 5min) == 1000);
  CHECK_FALSE(limit.pass(EventKind::kCrash, "alice", start + 6min));
  CHECK(limit.pass(EventKind::kCrash, "alice", start + 10min) == 1);
}

TEST_CASE("of all together no more than so many an hour") {
  AnnouncementLimit limit;
  limit.set(0s, 3);
  const AnnouncementLimit::Clock::time_point start{1h};
  int told = 0;
  for (int i = 0; i < 50; ++i) told += limit.pass(EventKind::kCrash, "t" + std::to_string(i), start) ? 1 : 0;
  CHECK(told == 3);
  CHECK(limit.pass(EventKind::kCrash, "t40", start + 1h) == 1);
}

TEST_CASE("what is remembered has an end, and what has gone by makes room") {
  AnnouncementLimit limit;
  limit.set(1min, 1'000'000);
  const AnnouncementLimit::Clock::time_point start{1h};
  for (std::size_t i = 0; i < AnnouncementLimit::kRemembered; ++i)
    REQUIRE(limit.pass(EventKind::kCrash, "t" + std::to_string(i), start));
  CHECK_FALSE(limit.pass(EventKind::kCrash, "another", start));
  CHECK(limit.pass(EventKind::kCrash, "another", start + 1min) == 0);
}
