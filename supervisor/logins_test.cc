#include "supervisor/logins.h"

#include <catch2/catch.hpp>

using namespace paddock::supervisor;

namespace {
const std::string kNoFile = "/nonexistent/tokens";
}

TEST_CASE("a link logs in once") {
  Logins logins;
  const auto link = logins.make_link("alice");
  REQUIRE(link);
  const auto first = logins.who(kNoFile, link->code);
  REQUIRE(first);
  REQUIRE(*first);
  CHECK((*first)->role == "tenant");
  CHECK((*first)->tenant == "alice");
  CHECK_FALSE(*logins.who(kNoFile, link->code));
  CHECK_FALSE(*logins.who(kNoFile, "made up"));
  CHECK_FALSE(Logins::is_admin(kNoFile, link->code));
}

TEST_CASE("a link that is too old logs nobody in") {
  Logins logins;
  const auto now = Logins::Clock::now();
  const auto link = logins.make_link("alice", now);
  REQUIRE(link);
  CHECK_FALSE(*logins.who(kNoFile, link->code, now + Logins::kLinkLife));
  CHECK_FALSE(*logins.who(kNoFile, link->code, now));
}

TEST_CASE("links that nobody uses do not pile up") {
  Logins logins;
  const auto oldest = logins.make_link("alice");
  REQUIRE(oldest);
  for (std::size_t i = 0; i < Logins::kMaxLinks; ++i) REQUIRE(logins.make_link("bob"));
  CHECK_FALSE(*logins.who(kNoFile, oldest->code));
}
