#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <filesystem>

#include "base/event_loop.h"
#include "base/file.h"
#include "base/log.h"
#include "base/message_socket.h"
#include "base/process.h"
#include "base/wire.h"

using namespace paddock;

namespace {

struct Inner {
  std::string key;
  std::uint16_t value = 0;
  template <typename Io>
  void fields(Io &io) {
    io(key);
    io(value);
  }
};

enum class Colour : std::uint8_t { kRed = 1 };

struct Sample {
  static constexpr std::uint8_t kType = 7;
  std::uint32_t number = 0;
  bool flag = false;
  Colour colour = Colour::kRed;
  std::vector<Inner> inner;
  template <typename Io>
  void fields(Io &io) {
    io(number);
    io(flag);
    io(colour);
    io(inner);
  }
};

}  // namespace

TEST_CASE("a message comes out as it went in") {
  const auto packet = wire::encode(Sample{5, true, Colour::kRed, {{"a", 1}, {std::string("b\0c", 3), 2}}});
  const auto back = wire::decode<Sample>(packet);
  REQUIRE(back.ok());
  CHECK(back->number == 5);
  CHECK(back->flag);
  REQUIRE(back->inner.size() == 2);
  CHECK(back->inner[1].key == std::string("b\0c", 3));
  CHECK(back->inner[1].value == 2);
}

TEST_CASE("a message cut anywhere, or with a byte too many, is refused") {
  auto packet = wire::encode(Sample{5, true, Colour::kRed, {{"abc", 1}}});
  for (std::size_t size = 0; size < packet.size(); ++size)
    CHECK_FALSE(wire::decode<Sample>(std::span(packet).first(size)).ok());
  // A body cut short under a header that agrees with it.
  for (std::size_t size = wire::kHeaderSize; size < packet.size(); ++size) {
    auto cut = std::vector(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
    const auto length = static_cast<std::uint32_t>(size - wire::kHeaderSize);
    std::memcpy(cut.data() + 4, &length, sizeof length);
    CHECK_FALSE(wire::decode<Sample>(cut).ok());
  }
  packet.push_back(0);
  CHECK_FALSE(wire::decode<Sample>(packet).ok());
}

TEST_CASE("a count that lies allocates nothing") {
  auto packet = wire::encode(Sample{});
  const std::uint32_t lie = 0xffffffff;
  std::memcpy(packet.data() + packet.size() - 4, &lie, sizeof lie);
  CHECK_FALSE(wire::decode<Sample>(packet).ok());
}

TEST_CASE("messages carry descriptors, and a closed peer is an end") {
  auto ends = MessageSocket::pair();
  REQUIRE(ends.ok());
  auto &[ours, theirs] = *ends;
  int pipe_ends[2];
  REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  const std::array fds{write_end.borrow()};
  REQUIRE(ours.send(Sample{1, false, Colour::kRed, {}}, fds).ok());
  write_end.reset();

  auto packet = theirs.receive();
  REQUIRE(packet.ok());
  REQUIRE(packet->has_value());
  REQUIRE((*packet)->fds.size() == 1);
  CHECK((*packet)->type() == Sample::kType);
  CHECK((::fcntl((*packet)->fds[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(write_all((*packet)->fds[0], "hi").ok());
  char text[2];
  CHECK(::read(read_end.get(), text, 2) == 2);

  ours.close();
  packet = theirs.receive();
  REQUIRE(packet.ok());
  CHECK_FALSE(packet->has_value());
}

TEST_CASE("a packet that is no message is EBADMSG") {
  auto ends = MessageSocket::pair();
  REQUIRE(ends.ok());
  REQUIRE(::send(ends->first.fd().get(), "xyz", 3, 0) == 3);
  const auto packet = ends->second.receive();
  REQUIRE_FALSE(packet.ok());
  CHECK(packet.error().code == EBADMSG);
}

TEST_CASE("a program is started, runs with nothing but what it was given, and is reaped") {
  int pipe_ends[2];
  REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  auto child = spawn({.arguments = {"/bin/sh", "-c", "echo $A:$HOME >&7; kill -9 $$"},
                      .environment = {"A=b"},
                      .fds = {{write_end, 7}},
                      .uid = {},
                      .gid = {},
                      .cgroup = {}});
  REQUIRE(child.ok());
  write_end.reset();
  const auto said = read_all(read_end);
  REQUIRE(said.ok());
  CHECK(*said == "b:\n");
  std::optional<ExitStatus> status;
  for (int i = 0; i < 500 && !status; ++i) {
    auto reaped = child->try_reap();
    REQUIRE(reaped.ok());
    status = *reaped;
    if (!status) ::usleep(10'000);
  }
  REQUIRE(status);
  CHECK(status->to_string() == "signal 9 (Killed)");
}

TEST_CASE("a descriptor that is not close-on-exec stays behind all the same") {
  const UniqueFd leaky(::open("/dev/null", O_RDONLY));  // as a library would open it
  REQUIRE(leaky.valid());
  int pipe_ends[2];
  REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  const std::string script =
      "test -e /proc/self/fd/" + std::to_string(leaky.get()) + " && echo there || echo gone";
  const auto child = spawn({.arguments = {"/bin/sh", "-c", script + " >&9"},
                            .environment = {},
                            .fds = {{write_end, 9}},
                            .uid = {},
                            .gid = {},
                            .cgroup = {}});
  REQUIRE(child.ok());
  write_end.reset();
  CHECK(*read_all(read_end) == "gone\n");
  REQUIRE(::waitpid(child->pid(), nullptr, 0) == child->pid());
}

TEST_CASE("a program that does not exist is the caller's error") {
  const auto child = spawn(
      {.arguments = {"/nonexistent/x"}, .environment = {}, .fds = {}, .uid = {}, .gid = {}, .cgroup = {}});
  REQUIRE_FALSE(child.ok());
  CHECK(child.error().code == ENOENT);
}

TEST_CASE("an account runs a program whose directory it cannot search") {
  if (::geteuid() != 0) {
    WARN("needs root");
    return;
  }
  std::string directory = "/tmp/paddock-base.XXXXXX";
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  const std::string program = directory + "/id";
  std::filesystem::copy_file("/usr/bin/id", program);
  constexpr uid_t kNobody = 65534;
  int out[2];
  REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
  const UniqueFd read_end(out[0]);
  UniqueFd write_end(out[1]);
  SpawnOptions options;
  options.arguments = {program, "-u"};
  options.fds = {{write_end, 1}};
  options.uid = options.gid = kNobody;
  const auto child = spawn(options);
  std::filesystem::remove_all(directory);
  REQUIRE(child.ok());
  write_end.reset();
  char text[16] = {};
  CHECK(::read(read_end.get(), text, sizeof text) > 0);
  CHECK(std::string(text) == "65534\n");
  siginfo_t info{};
  ::waitid(P_PIDFD, static_cast<id_t>(child->pidfd().get()), &info, WEXITED);
  CHECK(info.si_status == 0);
}

TEST_CASE("the loop runs timers in order and handlers that remove themselves") {
  auto loop = EventLoop::create();
  REQUIRE(loop.ok());
  auto ends = MessageSocket::pair();
  REQUIRE(ends.ok());
  std::string order;
  loop->after(std::chrono::milliseconds(20), [&] {
    order += "2";
    loop->stop();
  });
  loop->after(std::chrono::milliseconds(1), [&] { order += "1"; });
  const auto cancelled = loop->after(std::chrono::milliseconds(2), [&] { order += "x"; });
  loop->cancel(cancelled);
  REQUIRE(loop->watch(ends->first.fd(), EPOLLIN,
                      [&](std::uint32_t) {
                        order += "r";
                        loop->unwatch(ends->first.fd());
                      })
              .ok());
  REQUIRE(ends->second.send(Sample{}).ok());
  REQUIRE(loop->run().ok());
  CHECK(order == "r12");
}

TEST_CASE("files are replaced whole, and limits hold") {
  const auto directory =
      std::filesystem::temp_directory_path() / ("paddock-base-" + std::to_string(::getpid()));
  REQUIRE(make_directories((directory / "a/b").string(), 0755).ok());
  const std::string path = (directory / "a/b/file").string();
  REQUIRE(replace_file(path, "one", 0600).ok());
  REQUIRE(replace_file(path, "two", 0600).ok());
  CHECK(*read_file(path) == "two");
  CHECK(read_file(path, 2).error().code == EFBIG);
  CHECK(read_file(path + "x").error().message() == "open " + path + "x: No such file or directory");
  CHECK(std::distance(std::filesystem::directory_iterator(directory / "a/b"), {}) == 1);
  std::filesystem::remove_all(directory);
}

TEST_CASE("quoted text cannot forge a line or drive a terminal") {
  CHECK(log::quoted("a\n\x1b[2J\"\\\xc3") == "\"a\\x0a\\x1b[2J\\x22\\x5c\\xc3\"");
  CHECK(log::quoted("abcdef", 3) == "\"abc\"…");
}
