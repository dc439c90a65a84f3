#include "supervisor/inherited_environment.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

using namespace paddock::supervisor;

namespace {

struct Variable {
  const char *name;
  Variable(const char *variable, const char *value) : name(variable) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name); }
};

bool has(const std::vector<std::string> &entries, const std::string &entry) {
  return std::find(entries.begin(), entries.end(), entry) != entries.end();
}

}  // namespace

TEST_CASE("what tenants inherit of the supervisor") {
  const Variable database("PADDOCK_TEST_DATABASE", "db.example.org");
  const Variable invocation("INVOCATION_ID", "1");
  const Variable caller("SUDO_USER", "admin");
  const auto all = inherited_environment();
  CHECK(has(all, "PADDOCK_TEST_DATABASE=db.example.org"));
  for (const auto &entry : all)
    for (const char *own : {"HOME=", "USER=", "SHELL=", "INVOCATION_ID=", "SUDO_USER="})
      CHECK_FALSE(entry.starts_with(own));
}

TEST_CASE("variables that are named by others") {
  const Variable database("PADDOCK_TEST_DATABASE", "db=$HOME");
  CHECK(resolved({"A=$PADDOCK_TEST_DATABASE", "B=$PADDOCK_TEST_NOTHING", "C=$", "D=$5",
                  "E=a$PADDOCK_TEST_DATABASE", "F=$PADDOCK_TEST_DATABASE.x", "G="}) ==
        std::vector<std::string>{"A=db=$HOME", "B=", "C=$", "D=$5", "E=a$PADDOCK_TEST_DATABASE",
                                 "F=$PADDOCK_TEST_DATABASE.x", "G="});
}
