#include "supervisor/kept_opcaches.h"

#include <unistd.h>

#include <catch2/catch.hpp>

using namespace paddock;
using namespace paddock::supervisor;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kPage = 4096;

// Files of that zygote that hold so many pages.
KeptOpcache opcache(std::uint64_t zygote, std::uint64_t pages) {
  auto files = OpcacheFiles::make(zygote, {1 << 20});
  REQUIRE(files);
  const std::string page(kPage, 'x');
  for (std::uint64_t i = 0; i < pages; ++i)
    REQUIRE(::pwrite(files->files.front().get(), page.data(), page.size(), static_cast<off_t>(i * kPage)) ==
            static_cast<ssize_t>(page.size()));
  return {std::move(*files), {}};
}

}  // namespace

TEST_CASE("an opcache is there for the next sandbox of its tenant, once") {
  boost::asio::io_context io;
  KeptOpcaches kept(io);
  kept.set_limit(1 << 20);
  kept.keep("alice", opcache(1, 3), 1h);
  kept.keep("bob", opcache(1, 1), 1h);
  CHECK(kept.held("alice") == 3 * kPage);
  CHECK(kept.held() == 4 * kPage);
  CHECK(kept.held("carol") == 0);
  CHECK_FALSE(kept.take("carol", 1));
  const auto taken = kept.take("alice", 1);
  REQUIRE(taken);
  CHECK(taken->files.held() == 3 * kPage);
  CHECK(kept.held() == kPage);
  CHECK_FALSE(kept.take("alice", 1));
  SECTION("another takes its place") {
    kept.keep("bob", opcache(1, 2), 1h);
    CHECK(kept.size() == 1);
    CHECK(kept.held() == 2 * kPage);
  }
  SECTION("of another zygote it is for nobody") {
    CHECK_FALSE(kept.take("bob", 2));
    CHECK(kept.held() == 0);
  }
  SECTION("its zygote has ended") {
    kept.keep("carol", opcache(2, 1), 1h);
    kept.drop_of(1);
    CHECK(kept.held("bob") == 0);
    CHECK(kept.held("carol") == kPage);
  }
  SECTION("dropped") {
    kept.drop("bob");
    kept.drop("bob");
    CHECK(kept.size() == 0);
    CHECK(kept.held() == 0);
  }
}

TEST_CASE("what was kept longest makes room") {
  boost::asio::io_context io;
  KeptOpcaches kept(io);
  kept.keep("nobody", opcache(1, 1), 1h);
  CHECK(kept.size() == 0);  // no limit was set, and nothing may be kept
  kept.set_limit(4 * kPage);
  for (const char *name : {"first", "second", "third", "fourth"}) kept.keep(name, opcache(1, 1), 1h);
  CHECK(kept.size() == 4);
  kept.keep("fifth", opcache(1, 2), 1h);
  CHECK(kept.held() == 4 * kPage);
  CHECK(kept.held("first") + kept.held("second") == 0);
  SECTION("larger than all may be") {
    kept.keep("large", opcache(1, 5), 1h);
    CHECK(kept.size() == 0);
  }
  SECTION("the host wants its memory back") {
    CHECK(kept.relieve());
    CHECK(kept.size() == 1);
    CHECK(kept.held("fifth") == 2 * kPage);
    CHECK(kept.relieve());
    CHECK_FALSE(kept.relieve());
  }
  SECTION("the limit is lowered") {
    kept.set_limit(2 * kPage);
    CHECK(kept.size() == 1);
  }
}

TEST_CASE("time passes for each") {
  boost::asio::io_context io;
  KeptOpcaches kept(io);
  kept.set_limit(1 << 20);
  kept.keep("now", opcache(1, 1), 0s);
  CHECK(kept.size() == 0);
  kept.keep("long", opcache(1, 1), 1h);
  kept.keep("short", opcache(1, 1), 20ms);
  kept.keep("middle", opcache(1, 1), 40ms);
  kept.keep("taken", opcache(1, 1), 10ms);
  CHECK(kept.take("taken", 1));
  while (kept.size() > 1) io.run_one_for(5s);
  CHECK(kept.held("long") == kPage);
}
