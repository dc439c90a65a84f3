#include "supervisor/listening_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

#include "base/file.h"

using namespace paddock;

TEST_CASE("only the group of Apache reaches a socket, and nobody else can list them") {
  std::string root = "/tmp/paddock-sockets-XXXXXX";
  REQUIRE(::mkdtemp(root.data()) != nullptr);
  const std::string directory = root + "/sockets";
  constexpr gid_t kApache = 33;
  REQUIRE(supervisor::prepare_socket_directory(directory, kApache).ok());
  {
    const auto socket = supervisor::listen_at(directory + "/a.sock", kApache);
    REQUIRE(socket.ok());
    struct stat status {};
    REQUIRE(::stat(directory.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0710);
    CHECK(status.st_gid == kApache);
    REQUIRE(::stat((directory + "/a.sock").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0660);
    CHECK(status.st_uid == 0);
    CHECK(status.st_gid == kApache);
    // Nobody learns the name from the kernel, and whoever knows it can connect.
    CHECK(read_file("/proc/net/unix", 64 << 20)->find(directory) == std::string::npos);
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s/a.sock", directory.c_str());
    CHECK(::connect(client.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    // A second one at the same path replaces it: what a dead supervisor left is no obstacle.
    CHECK(supervisor::listen_at(directory + "/a.sock", kApache).ok());
    // Nor is one that was killed before its socket had a name.
    REQUIRE(replace_file(directory + "/new", "", 0600).ok());
    CHECK(supervisor::listen_at(directory + "/b.sock", kApache).ok());
    CHECK_FALSE(std::filesystem::exists(directory + "/new"));
  }
  // Sockets of a dead run go, files that are none stay.
  REQUIRE(replace_file(directory + "/keep", "", 0600).ok());
  REQUIRE(supervisor::prepare_socket_directory(directory, kApache).ok());
  CHECK_FALSE(std::filesystem::exists(directory + "/a.sock"));
  CHECK(std::filesystem::exists(directory + "/keep"));
  const auto long_path = supervisor::listen_at(directory + "/" + std::string(120, 'x'), kApache);
  REQUIRE_FALSE(long_path.ok());
  CHECK(long_path.error().code == ENAMETOOLONG);
  std::filesystem::remove_all(root);
}
