#include "policies/machine.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace paddock::policies;

TEST_CASE("accounts are those that getpwnam knows") {
  const Machine machine = this_machine();
  int compared = 0;
  // Those that a Debian machine has; each must be found as NSS finds it, or not at all as it does not.
  for (const char *name : {"root", "daemon", "www-data", "nobody", "no-such-user-of-ours"}) {
    INFO(name);
    const passwd *entry = ::getpwnam(name);
    const auto account = machine.account(name);
    REQUIRE(account.ok());
    REQUIRE(account->has_value() == (entry != nullptr));
    if (entry == nullptr) continue;
    ++compared;
    CHECK((*account)->uid == entry->pw_uid);
    CHECK((*account)->gid == entry->pw_gid);
    CHECK((*account)->home == entry->pw_dir);
  }
  CHECK(compared >= 2);
  const auto group = machine.group("root");
  REQUIRE(group.ok());
  CHECK(*group == std::optional<gid_t>(0));
  const auto missing = machine.group("no-such-group-of-ours");
  REQUIRE(missing.ok());
  CHECK_FALSE(missing->has_value());
}

TEST_CASE("homes") {
  std::string directory = "/tmp/paddock-policies-XXXXXX";
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  const Machine machine = this_machine();
  CHECK(machine.home_problem(directory, ::geteuid()).empty());
  CHECK(machine.home_problem(directory, ::geteuid() + 7).find("belongs to uid") == 0);
  CHECK(machine.home_problem(directory + "/none", ::geteuid()) ==
        "cannot be used: No such file or directory");
  std::ofstream(directory + "/b.toml").flush();
  std::ofstream(directory + "/a.toml").flush();
  std::ofstream(directory + "/c.txt").flush();
  CHECK(machine.home_problem(directory + "/a.toml", ::geteuid()) == "is not a directory");
  CHECK(machine.expand(directory + "/*.toml") ==
        std::vector<std::string>{directory + "/a.toml", directory + "/b.toml"});
  CHECK(machine.expand(directory + "/*.none").empty());
  CHECK(machine.exists(directory + "/c.txt"));
  CHECK_FALSE(machine.exists(directory + "/d.txt"));
  std::filesystem::remove_all(directory);
}
