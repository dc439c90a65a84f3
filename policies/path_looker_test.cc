#include "policies/path_looker.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>

using namespace paddock::policies;

TEST_CASE("what a child sees is what stat(2) says") {
  std::string directory = "/tmp/paddock-looker-XXXXXX";
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  std::ofstream(directory + "/file").flush();
  PathLooker looker;
  const auto home = looker.look(directory);
  REQUIRE(home);
  CHECK(home->code == 0);
  CHECK(S_ISDIR(home->mode));
  CHECK(home->uid == ::geteuid());
  const auto file = looker.look(directory + "/file");
  REQUIRE(file);
  CHECK(S_ISREG(file->mode));
  const auto missing = looker.look(directory + "/none");
  REQUIRE(missing);
  CHECK(missing->code == ENOENT);
  std::filesystem::remove_all(directory);
}

TEST_CASE("what is cached is known without a child") {
  const auto root = PathLooker::cached("/");
  REQUIRE(root);
  CHECK(S_ISDIR(root->mode));
  CHECK_FALSE(PathLooker::cached("/nonexistent/anything"));
}
