#include "supervisor/tenant_log.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace paddock;
using namespace paddock::supervisor;

TEST_CASE("the end of a tenant's log is whole lines, and no more than was asked for") {
  const auto directory =
      std::filesystem::temp_directory_path() / ("paddock-log-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory / "tenants");
  policies::Runtime runtime;
  runtime.log_dir = directory;
  const auto read = [&](std::size_t limit) { return read_tenant_log(runtime, "alice", limit); };
  REQUIRE(read(100));
  CHECK(read(100)->empty());
  std::ofstream(directory / "tenants/alice.log") << "one\ntwo\nthree\n";
  CHECK(*read(100) == "one\ntwo\nthree\n");
  CHECK(*read(11) == "two\nthree\n");
  CHECK(*read(9) == "three\n");
  CHECK(*read(3) == "");
  std::filesystem::remove(directory / "tenants/alice.log");
  std::filesystem::create_symlink("/etc/passwd", directory / "tenants/alice.log");
  CHECK_FALSE(read(100));
  std::filesystem::remove(directory / "tenants/alice.log");
  std::filesystem::create_directory(directory / "tenants/alice.log");
  CHECK_FALSE(read(100));
  std::filesystem::remove_all(directory);
}
