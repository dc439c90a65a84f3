#include "supervisor/block_list.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"

using namespace paddock;
using supervisor::Block;
using supervisor::BlockList;

namespace {
struct StateDir {
  std::string path = "/tmp/paddock-blocks-XXXXXX";
  StateDir() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~StateDir() { std::filesystem::remove_all(path); }
};
}  // namespace

TEST_CASE("a block is there after a restart, with reason and end") {
  const StateDir dir;
  const auto until = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()) +
                     std::chrono::hours(1);
  {
    auto list = BlockList::load(dir.path + "/blocks");
    REQUIRE(list.ok());
    REQUIRE(list->set("alice", Block{"mines coins\nsecond line", until}).ok());
    REQUIRE(list->set("bob", Block{"", {}}).ok());
  }
  auto list = BlockList::load(dir.path + "/blocks");
  REQUIRE(list.ok());
  REQUIRE(list->find("alice") != nullptr);
  CHECK(list->find("alice")->reason == "mines coins\nsecond line");
  CHECK(list->find("alice")->until == until);
  REQUIRE(list->find("bob") != nullptr);
  CHECK_FALSE(list->find("bob")->until.has_value());
  REQUIRE(list->clear("alice").ok());
  CHECK(BlockList::load(dir.path + "/blocks")->find("alice") == nullptr);
  CHECK(BlockList::load(dir.path + "/blocks")->find("carol") == nullptr);
}

TEST_CASE("a write that a crash cut off is no block, and a damaged file is an error") {
  const StateDir dir;
  REQUIRE(make_directories(dir.path + "/blocks", 0700).ok());
  REQUIRE(replace_file(dir.path + "/blocks/alice.new", "0\nhalf", 0600).ok());
  CHECK(BlockList::load(dir.path + "/blocks")->find("alice.new") == nullptr);
  REQUIRE(replace_file(dir.path + "/blocks/bob", "soon\nx", 0600).ok());
  const auto list = BlockList::load(dir.path + "/blocks");
  REQUIRE_FALSE(list.ok());
  CHECK(list.error().attempt.find("/blocks/bob") != std::string::npos);
}
