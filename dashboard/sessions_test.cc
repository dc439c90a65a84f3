#include "dashboard/sessions.h"

#include <catch2/catch.hpp>

using namespace paddock;
using namespace paddock::dashboard;
using Clock = Session::Clock;

TEST_CASE("A session is found by its cookie until it is too old") {
  Sessions sessions;
  const auto now = Clock::now();
  const auto id = sessions.add({"admin", ""}, "secret", now);
  REQUIRE(id);
  const Session *session = sessions.find(*id, now);
  REQUIRE(session != nullptr);
  CHECK(session->admin);
  CHECK(session->token == "secret");
  CHECK(session->csrf.size() == 64);
  CHECK(session->may_see("anybody"));
  CHECK(sessions.find("", now) == nullptr);
  CHECK(sessions.find(id->substr(1), now) == nullptr);
  CHECK(sessions.find(*id, now + Sessions::kIdle - std::chrono::seconds(1)) != nullptr);
  CHECK(sessions.find(*id, now + 2 * Sessions::kIdle) == nullptr);
  CHECK(sessions.size() == 0);
}

TEST_CASE("A session that is used ends all the same") {
  Sessions sessions;
  auto now = Clock::now();
  const auto end = now + Sessions::kLife;
  const auto id = sessions.add({"admin", ""}, "secret", now);
  for (; now < end; now += std::chrono::minutes(30)) REQUIRE(sessions.find(*id, now) != nullptr);
  CHECK(sessions.find(*id, now) == nullptr);
}

TEST_CASE("A tenant's session sees that tenant and holds no token") {
  Sessions sessions;
  const auto id = sessions.add({"tenant", "alice"}, "code");
  const Session *session = sessions.find(*id);
  REQUIRE(session != nullptr);
  CHECK_FALSE(session->admin);
  CHECK(session->token.empty());
  CHECK(session->may_see("alice"));
  CHECK_FALSE(session->may_see("bob"));
  CHECK_FALSE(session->may_see(""));
}

TEST_CASE("Sessions are bounded: the one that was not used for longest goes") {
  Sessions sessions;
  const auto now = Clock::now();
  const auto oldest = sessions.add({"admin", ""}, "secret", now);
  for (std::size_t i = 1; i <= Sessions::kMax; ++i)
    REQUIRE(sessions.add({"admin", ""}, "secret", now + std::chrono::seconds(i)));
  CHECK(sessions.size() == Sessions::kMax);
  CHECK(sessions.find(*oldest, now) == nullptr);
}

TEST_CASE("Wrong tokens are answered later and later, up to a bound") {
  LoginBrake brake;
  auto now = Clock::now();
  auto last = brake.failed(now);
  CHECK(last >= std::chrono::milliseconds(100));
  for (int i = 0; i < 20; ++i) {
    const auto next = brake.failed(now);
    CHECK(next >= last);
    last = next;
  }
  CHECK(last <= std::chrono::seconds(10));
  CHECK(brake.failed(now + std::chrono::minutes(5)) < last);
}

TEST_CASE("Secrets are compared") {
  CHECK(same_secret("abc", "abc"));
  CHECK_FALSE(same_secret("abc", "abd"));
  CHECK_FALSE(same_secret("abc", "ab"));
}
