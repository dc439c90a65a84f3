#include "policies/socket_path.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/file.h"

using namespace paddock;
using namespace paddock::policies;

namespace {

struct Directory {
  std::string path = "/tmp/paddock-policies-XXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string key() const { return path + "/socket.key"; }
};

}  // namespace

TEST_CASE("a socket's path is HMAC-SHA256 of the name") {
  Runtime runtime;
  runtime.run_dir = "/r";
  // RFC 4231, test case 2, has a key of 4 bytes ("Jefe"): HMAC pads keys with zeros, so 32 bytes are the same
  // key.
  SocketKey key{'J', 'e', 'f', 'e'};
  CHECK(socket_path(runtime, key, "what do ya want for nothing?") ==
        "/r/sockets/what do ya want for nothing?-5bdcc146bf60754e6a042426089575c7.sock");
  CHECK(socket_path(runtime, key, "alice") == socket_path(runtime, key, "alice"));
  key[31] = 1;
  CHECK(socket_path(runtime, key, "alice") != socket_path(runtime, {}, "alice"));
}

TEST_CASE("the longest name just fits into sockaddr_un") {
  Runtime runtime;
  const int longest = longest_name(runtime);
  REQUIRE(longest > 0);
  CHECK(socket_path(runtime, {}, std::string(static_cast<std::size_t>(longest), 'x')).size() == 107);
}

TEST_CASE("the key is made once, for its owner only") {
  const Directory directory;
  CHECK(load_socket_key(directory.path).error().code == ENOENT);
  const auto first = load_or_create_socket_key(directory.path);
  REQUIRE(first.ok());
  struct stat status {};
  REQUIRE(::stat(directory.key().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(status.st_size == 32);
  const auto second = load_or_create_socket_key(directory.path);
  REQUIRE(second.ok());
  CHECK(*first == *second);
  // Nothing is left of the temporary file.
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path), {}) == 1);

  const Directory other;
  CHECK(*load_or_create_socket_key(other.path) != *first);
}

TEST_CASE("several that make the key at once get the same") {
  const Directory directory;
  std::vector<std::thread> threads;
  std::vector<SocketKey> keys(8);
  for (auto &key : keys)
    threads.emplace_back([&] {
      if (auto made = load_or_create_socket_key(directory.path)) key = *made;
    });
  for (auto &thread : threads) thread.join();
  for (const auto &key : keys) CHECK(key == keys[0]);
  CHECK(keys[0] != SocketKey{});
}

TEST_CASE("a key that others can read, of another size or kind is refused") {
  const Directory directory;
  REQUIRE(load_or_create_socket_key(directory.path).ok());
  REQUIRE(::chmod(directory.key().c_str(), 0640) == 0);
  CHECK(load_or_create_socket_key(directory.path).error().code == EPERM);
  REQUIRE(::chmod(directory.key().c_str(), 0600) == 0);
  REQUIRE(replace_file(directory.key(), std::string(31, 'k'), 0600).ok());
  CHECK(load_or_create_socket_key(directory.path).error().code == EINVAL);
  REQUIRE(replace_file(directory.key(), std::string(33, 'k'), 0600).ok());
  CHECK(load_or_create_socket_key(directory.path).error().code == EINVAL);
  std::filesystem::remove(directory.key());
  std::filesystem::create_symlink("elsewhere", directory.key());
  CHECK(load_or_create_socket_key(directory.path).error().code == ELOOP);
  std::filesystem::remove(directory.key());
  REQUIRE(::mkfifo(directory.key().c_str(), 0600) == 0);
  CHECK(load_or_create_socket_key(directory.path).error().code == EPERM);
  CHECK(load_or_create_socket_key(directory.path + "/missing").error().code == ENOENT);
}
