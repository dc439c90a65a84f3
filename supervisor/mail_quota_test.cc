#include "supervisor/mail_quota.h"

#include <catch2/catch.hpp>

using paddock::supervisor::MailQuota;
using namespace std::chrono_literals;

TEST_CASE("an hour's mail is bounded, and the hour moves on") {
  MailQuota quota;
  const MailQuota::Clock::time_point start{500h};
  CHECK(quota.take(6, 10, start));
  CHECK_FALSE(quota.take(5, 10, start + 1min));
  CHECK(quota.take(4, 10, start + 30min));
  CHECK(quota.used(start + 30min) == 10);
  CHECK_FALSE(quota.take(1, 10, start + 59min));
  // What was sent first is an hour ago, what followed is not.
  CHECK(quota.used(start + 60min) == 4);
  CHECK(quota.take(6, 10, start + 60min));
  CHECK_FALSE(quota.take(1, 10, start + 61min));
  CHECK(quota.used(start + 3h) == 0);
}

TEST_CASE("a limit of nothing, and what is given back") {
  MailQuota quota;
  const MailQuota::Clock::time_point start{500h};
  CHECK_FALSE(quota.take(1, 0, start));
  CHECK(quota.take(3, 3, start));
  quota.give_back(3, start);
  CHECK(quota.take(3, 3, start));
  quota.give_back(100, start);
  CHECK(quota.used(start) == 0);
}
