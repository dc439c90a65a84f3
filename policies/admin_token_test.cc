#include "policies/admin_token.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"

using namespace paddock;
using namespace paddock::policies;

namespace {

struct Directory {
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path = "/tmp/paddock-token-XXXXXX";
};

}  // namespace

TEST_CASE("A token's hash is SHA-256") {
  CHECK(hash_of_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("Tokens differ and are long") {
  const auto one = make_token();
  const auto two = make_token();
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->size() == 64);
  CHECK(*one != *two);
}

TEST_CASE("A token is known by its role, and a new one replaces it") {
  const Directory directory;
  const std::string file = directory.path + "/tokens";
  REQUIRE(role_of_token(file, "anything"));
  CHECK_FALSE(*role_of_token(file, "anything"));

  REQUIRE(store_token_hash(file, TokenRole::kAdmin, hash_of_token("first")));
  REQUIRE(store_token_hash(file, TokenRole::kMetrics, hash_of_token("figures")));
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(*role_of_token(file, "first") == TokenRole::kAdmin);
  CHECK(*role_of_token(file, "figures") == TokenRole::kMetrics);
  CHECK_FALSE(*role_of_token(file, hash_of_token("first")));
  CHECK_FALSE(*role_of_token(file, ""));
  CHECK_FALSE(*role_of_token(file, "firs"));
  CHECK_FALSE(*role_of_token(file, std::string(100'000, 'x')));

  REQUIRE(store_token_hash(file, TokenRole::kAdmin, hash_of_token("second")));
  CHECK_FALSE(*role_of_token(file, "first"));
  CHECK(*role_of_token(file, "second") == TokenRole::kAdmin);
  CHECK(*role_of_token(file, "figures") == TokenRole::kMetrics);
}

TEST_CASE("A damaged file lets nobody in") {
  const Directory directory;
  const std::string file = directory.path + "/tokens";
  REQUIRE(replace_file(file, "admin\n\nroot " + hash_of_token("x") + "\nadmin short", 0600));
  CHECK_FALSE(*role_of_token(file, "x"));
  CHECK_FALSE(*role_of_token(file, "short"));
}
