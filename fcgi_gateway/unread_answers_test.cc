#include "fcgi_gateway/unread_answers.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <vector>

#include "protocols/handoff/handoff.h"

using namespace paddock;
using namespace paddock::fcgi_gateway;
using namespace std::chrono_literals;

namespace {

UniqueFd file_of(const std::string &content, bool sealed = true) {
  UniqueFd file(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  if (sealed) REQUIRE(handoff::seal(file).ok());
  return file;
}

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * i % 23);
  return text;
}

// A gateway's part for one tenant, and a client.
struct Sender {
  explicit Sender(const UnreadTerms &terms) {
    ::signal(SIGPIPE, SIG_IGN);
    answers.set_terms(1, "test", terms);
  }

  UniqueFd send(UniqueFd file, std::uint64_t offset = 0, bool request_over = false) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    answers.send(1, UniqueFd(ends[0]), std::move(file), offset, request_over);
    return UniqueFd(ends[1]);
  }
  void turn(std::chrono::milliseconds time = 0ms) { REQUIRE(loop.run_once(time).ok()); }
  // All that comes until the other side has nothing more to send.
  std::string read(BorrowedFd client) {
    std::string text;
    std::vector<char> buffer(1 << 16);
    for (;;) {
      const ssize_t got = ::recv(client.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0) return text;
      if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
      if (got < 0 && answers.connections() == 0) return text;
      if (got < 0) turn();
    }
  }
  [[nodiscard]] std::uint64_t cut() {
    figures.report();
    return refused;
  }

  EventLoop loop = *EventLoop::create();
  std::uint64_t refused = 0;
  Figures figures{loop,
                  1h,
                  {[this](const gateway_link::Refused &message) {
                     if (message.reason == gateway_link::reason::kUnread) refused += message.requests;
                     return true;
                   },
                   [](const gateway_link::Waiting &) { return true; }}};
  Refuser refuser{loop, {}, figures};
  Ledger ledger = *Ledger::create(256);
  UnreadAnswers answers{loop, figures, refuser, ledger, 4};
};

constexpr UnreadTerms kPlenty{2, 4 << 20, 1min};

}  // namespace

TEST_CASE("an answer is written out as the client takes it, from where the worker was") {
  Sender sender(kPlenty);
  const std::string text = pattern(2 << 20);
  const UniqueFd client = sender.send(file_of(text), 1000);
  CHECK(sender.answers.connections() == 1);
  CHECK(sender.read(client) == text.substr(1000));
  // What the client has still to say is read by somebody else.
  CHECK(sender.refuser.connections() == 1);
  CHECK(sender.cut() == 0);
}

TEST_CASE("where the request is over, the end of the answer ends the connection") {
  Sender sender(kPlenty);
  const UniqueFd client = sender.send(file_of(pattern(2 << 20)), 0, true);
  CHECK(sender.read(client).size() == 2 << 20);
  char more = 0;
  CHECK(::recv(client.get(), &more, 1, 0) == 0);
  CHECK(sender.refuser.connections() == 0);
}

TEST_CASE("what is more than a tenant may have waiting is cut off and counted") {
  Sender sender(kPlenty);
  SECTION("connections") {
    const UniqueFd first = sender.send(file_of(pattern(1 << 20)));
    const UniqueFd second = sender.send(file_of(pattern(1 << 20)));
    const UniqueFd third = sender.send(file_of("x"));
    CHECK(sender.answers.connections() == 2);
  }
  SECTION("bytes") {
    const UniqueFd first = sender.send(file_of(pattern((4 << 20) + 1)));
    CHECK(sender.answers.connections() == 0);
  }
  SECTION("bytes of all") {
    const UniqueFd first = sender.send(file_of(pattern(3 << 20)));
    const UniqueFd second = sender.send(file_of(pattern(3 << 20)));
    CHECK(sender.answers.connections() == 1);
    // And only what is still to be sent counts.
    CHECK(sender.read(first).size() == 3 << 20);
    const UniqueFd third = sender.send(file_of(pattern(3 << 20)));
    CHECK(sender.answers.connections() == 1);
  }
  CHECK(sender.cut() == 1);
}

TEST_CASE("a client that takes nothing is cut off when its time is over") {
  Sender sender({2, 4 << 20, 20ms});
  const UniqueFd client = sender.send(file_of(pattern(1 << 20)));
  while (sender.answers.connections() > 0) sender.turn(100ms);
  CHECK(sender.cut() == 1);
}

TEST_CASE("a client that has gone costs nothing, and is no refusal") {
  Sender sender(kPlenty);
  UniqueFd client = sender.send(file_of(pattern(1 << 20)));
  sender.turn();
  client.reset();
  sender.turn(1s);
  CHECK(sender.answers.connections() == 0);
  CHECK(sender.cut() == 0);
}

TEST_CASE("a sandbox may send anything") {
  Sender sender(kPlenty);
  SECTION("a file that it can still change") {
    (void)sender.send(file_of("text", false));
  }
  SECTION("an offset behind the end") {
    (void)sender.send(file_of("text"), 5);
  }
  SECTION("no file") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd writer(ends[1]);
    (void)sender.send(UniqueFd(ends[0]));
  }
  SECTION("no socket") {
    sender.answers.send(1, file_of("text"), file_of("text"), 0, false);
  }
  SECTION("for a tenant that is gone") {
    sender.answers.drop(1);
    (void)sender.send(file_of("text"));
  }
  CHECK(sender.answers.connections() == 0);
  CHECK(sender.cut() == 0);
}

TEST_CASE("a tenant that is removed takes its answers along") {
  Sender sender(kPlenty);
  const UniqueFd client = sender.send(file_of(pattern(1 << 20)));
  sender.answers.drop(1);
  CHECK(sender.answers.connections() == 0);
}
