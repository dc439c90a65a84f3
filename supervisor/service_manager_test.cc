// The datagrams that a service manager gets, and the descriptors that it gives back.
#include "supervisor/service_manager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>

using namespace paddock;
using supervisor::ServiceManager;

namespace {

UniqueFd listening_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un any{};
  any.sun_family = AF_UNIX;
  // Autobind (unix(7)): a name of the kernel's choice.
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr *>(&any), sizeof any.sun_family) == 0);
  REQUIRE(::listen(fd.get(), 1) == 0);
  return fd;
}

// A manager's end: an abstract datagram socket, named in NOTIFY_SOCKET.
class Manager {
 public:
  Manager() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address.sun_family) ==
            0);
    socklen_t length = sizeof address;
    REQUIRE(::getsockname(socket_.get(), reinterpret_cast<sockaddr *>(&address), &length) == 0);
    const std::string name(address.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1);
    ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  }

  std::string next() {
    std::array<char, 512> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec part{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) return "nothing";
    std::string out(text.data(), static_cast<std::size_t>(got));
    if (const cmsghdr *header = CMSG_FIRSTHDR(&message)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      const UniqueFd received(fd);
      out += received.valid() ? " +fd" : "";
    }
    return out;
  }

 private:
  UniqueFd socket_;
};

// In a process of its own, where 3 and 4 are free: descriptors as a manager passes them. The exit status of
// `check`.
template <typename Check>
int with_stored(int third, int fourth, const char *names, Check check) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int a = ::fcntl(third, F_DUPFD, 20);
    const int b = ::fcntl(fourth, F_DUPFD, 20);
    ::dup2(a, 3);
    ::dup2(b, 4);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "2", 1);
    ::setenv("LISTEN_FDNAMES", names, 1);
    auto manager = ServiceManager::from_environment();
    ::_exit(check(manager));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

}  // namespace

TEST_CASE("without a service manager nothing is said") {
  ::unsetenv("NOTIFY_SOCKET");
  auto manager = ServiceManager::from_environment();
  CHECK_FALSE(manager.present());
  CHECK_FALSE(manager.watchdog());
  manager.ready();
  manager.store("alice", listening_socket());
}

TEST_CASE("a service manager hears of states and gets descriptors") {
  Manager other;
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  auto manager = ServiceManager::from_environment();
  CHECK(::getenv("NOTIFY_SOCKET") == nullptr);
  CHECK(::getenv("WATCHDOG_USEC") == nullptr);
  CHECK(manager.watchdog() == std::chrono::seconds(30));
  manager.ready();
  CHECK(other.next() == "READY=1");
  manager.reloading();
  CHECK(other.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
  manager.store("alice", listening_socket());
  CHECK(other.next() == "FDSTORE=1\nFDNAME=alice\nFDPOLL=0 +fd");
  manager.forget("alice");
  CHECK(other.next() == "FDSTOREREMOVE=1\nFDNAME=alice");
  manager.alive();
  CHECK(other.next() == "WATCHDOG=1");
  manager.stopping();
  CHECK(other.next() == "STOPPING=1");
  CHECK(other.next() == "nothing");
}

TEST_CASE("what was stored is given back to who asks for it, if it listens") {
  Manager other;
  const auto alice = listening_socket();
  const UniqueFd pipe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(with_stored(alice.get(), pipe.get(), "alice:bob", [](ServiceManager &manager) {
          if (manager.stored().size() != 2) return 1;
          const auto taken = manager.take_listener("alice");
          if (!taken || taken->get() != 3) return 2;
          if ((::fcntl(3, F_GETFD) & FD_CLOEXEC) == 0) return 3;
          if (manager.take_listener("bob")) return 4;  // does not listen
          if (manager.take_listener("carol")) return 5;
          return ::getenv("LISTEN_FDS") == nullptr ? 0 : 6;
        }) == 0);
  CHECK(other.next() == "FDSTOREREMOVE=1\nFDNAME=bob");
}

TEST_CASE("what nobody takes is dropped, here and there") {
  Manager other;
  const auto alice = listening_socket();
  const auto bob = listening_socket();
  CHECK(with_stored(alice.get(), bob.get(), "alice:bob", [](ServiceManager &manager) {
          manager.drop("alice");
          manager.drop("nobody");
          manager.drop_stored();
          return manager.stored().empty() && ::fcntl(3, F_GETFD) < 0 && ::fcntl(4, F_GETFD) < 0 ? 0 : 1;
        }) == 0);
  CHECK(other.next() == "FDSTOREREMOVE=1\nFDNAME=alice");
  CHECK(other.next() == "FDSTOREREMOVE=1\nFDNAME=bob");
  CHECK(other.next() == "nothing");
}

TEST_CASE("a socket that a sandbox has shut down is not given back") {
  Manager other;
  const auto alice = listening_socket();
  ::shutdown(alice.get(), SHUT_RDWR);
  CHECK(with_stored(alice.get(), alice.get(), "alice",
                    [](ServiceManager &manager) { return manager.take_listener("alice") ? 1 : 0; }) == 0);
  CHECK(other.next() == "FDSTOREREMOVE=1\nFDNAME=alice");
}

TEST_CASE("descriptors that are meant for another process are left alone") {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "1", 1);
  CHECK(ServiceManager::from_environment().stored().empty());
}
