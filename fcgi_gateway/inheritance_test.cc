// What a gateway before held, as its guardian passes it on. That a guardian does so is
// tests/integration/test_inheritance.py.
#include "protocols/gateway_link/inheritance.h"

#include <sys/mman.h>

#include "fcgi_gateway/test_gateway.h"

using namespace paddock;
using namespace paddock::fcgi_gateway::testing;

namespace {

// A connection that is held for "tenant1": the client's end, and the gateway's.
std::pair<UniqueFd, UniqueFd> connection() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

UniqueFd memory_file(std::string_view content) {
  UniqueFd file(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  return file;
}

void hand_over(GatewayProcess &gateway, std::vector<BorrowedFd> fds) {
  REQUIRE(gateway.inheritance().send(gateway_link::HeldRequest{"tenant1"}, fds).ok());
}

gateway_link::Lease terms() {
  gateway_link::Lease lease;
  lease.tenant = 1;
  lease.workers = 2;
  lease.queue = 4;
  lease.queue_time_ms = 10'000;
  lease.slow_clients = 4;
  lease.receive_time_ms = 10'000;
  lease.send_time_ms = 10'000;
  lease.spool_bytes = lease.unread_bytes = 1 << 20;
  return lease;
}

bool closes(BorrowedFd client) {
  char byte = 0;
  return wait_readable(client, 5s) && ::recv(client.get(), &byte, 1, 0) <= 0;
}

}  // namespace

TEST_CASE("a request that nobody has read is refused where its tenant is") {
  GatewayProcess gateway;
  auto [client, held] = connection();
  REQUIRE(send_text(client, request_head() + stdin_end()));
  hand_over(gateway, {held});
  held.reset();
  PrivateDirectory directory;
  const UniqueFd socket = listen_at(directory / "socket");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  const Answer answer = read_answer(client, 5s);
  CHECK(answer.out.starts_with("Status: 503"));
  CHECK(answer.ended);
}

TEST_CASE("one that had been read in part is closed where its tenant is refused") {
  GatewayProcess gateway;
  PrivateDirectory directory;
  const UniqueFd socket = listen_at(directory / "socket");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  gateway.settle();
  auto [client, held] = connection();
  hand_over(gateway, {held, memory_file("\1\1\0\1")});
  held.reset();
  CHECK(closes(client));
}

TEST_CASE("what waits has a sandbox started, and goes to its workers") {
  GatewayProcess gateway;
  auto [client, held] = connection();
  auto [slow_client, slow_held] = connection();
  const std::string request = request_head() + stdin_end();
  hand_over(gateway, {held});
  hand_over(gateway, {slow_held, memory_file(request.substr(0, 10)), memory_file(request.substr(10, 10))});
  held.reset();
  slow_held.reset();
  PrivateDirectory directory;
  const UniqueFd socket = listen_at(directory / "socket");
  gateway.add(1, socket, Mode::kWatch);
  const auto wake = gateway.next<gateway_link::Wake>(5s);
  REQUIRE(wake);
  CHECK(wake->tenant == 1);
  gateway.set_mode(1, Mode::kLeased);
  auto sandbox = gateway.lease(terms());
  REQUIRE(send_text(client, request));
  REQUIRE(send_text(slow_client, request.substr(20)));
  sandbox.board->slots[0].state.store(static_cast<std::uint32_t>(scoreboard::State::kIdle));
  sandbox.board->slots[1].state.store(static_cast<std::uint32_t>(scoreboard::State::kIdle));
  std::set<std::string> found;
  while (found.size() < 2) {
    REQUIRE(wait_readable(sandbox.handoff.fd(), 5s));
    const auto packet = sandbox.handoff.receive();
    REQUIRE((packet.ok() && packet->has_value()));
    const auto handed = (*packet)->as<handoff::Connection>();
    if (!handed) continue;
    std::string whole = handed->received;
    for (std::size_t i = 1; i < (*packet)->fds.size(); ++i) {
      std::array<char, 256> buffer;
      const ssize_t got = ::pread((*packet)->fds[i].get(), buffer.data(), buffer.size(), 0);
      REQUIRE(got >= 0);
      whole.append(buffer.data(), static_cast<std::size_t>(got));
    }
    found.insert(whole);
  }
  CHECK(found == std::set<std::string>{"", request});
}

TEST_CASE("an answer is sent on from where it was, and needs no sandbox") {
  GatewayProcess gateway;
  PrivateDirectory directory;
  const UniqueFd socket = listen_at(directory / "socket");
  gateway.add(1, socket, Mode::kWatch);
  auto [client, held] = connection();
  const UniqueFd answer = memory_file("0123456789");
  REQUIRE(handoff::seal(answer).ok());
  const std::vector<BorrowedFd> fds{held, answer};
  REQUIRE(gateway.inheritance().send(gateway_link::HeldAnswer{"tenant1", 4, true}, fds).ok());
  held.reset();
  std::array<char, 32> buffer;
  REQUIRE(wait_readable(client, 5s));
  CHECK(std::string_view(buffer.data(), static_cast<std::size_t>(::recv(client.get(), buffer.data(),
                                                                        buffer.size(), MSG_WAITALL))) ==
        "456789");
  CHECK_FALSE(gateway.next<gateway_link::Wake>(50ms));
}

TEST_CASE("what is no inheritance is passed over") {
  GatewayProcess gateway;
  PrivateDirectory directory;
  const UniqueFd socket = listen_at(directory / "socket");
  gateway.add(1, socket, Mode::kWatch);
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  const UniqueFd reader(pipe[0]);
  const UniqueFd writer(pipe[1]);
  hand_over(gateway, {});
  hand_over(gateway, {reader});
  hand_over(gateway, {reader, writer});
  REQUIRE(gateway.inheritance()
              .send(gateway_link::HeldAnswer{"tenant1", 0, false}, std::vector<BorrowedFd>{reader, writer})
              .ok());
  REQUIRE(gateway.inheritance().send(gateway_link::HeldAnswer{"tenant1", 0, false}).ok());
  REQUIRE(gateway.inheritance().send(gateway_link::Wake{1}).ok());
  REQUIRE(gateway.inheritance().send_bytes(std::vector<std::uint8_t>{1, 2, 3}).ok());
  gateway.settle();
  const UniqueFd client = connect_to(directory / "socket");
  CHECK(gateway.next<gateway_link::Wake>(5s));
}

TEST_CASE(
    "a guardian passes on what a sandbox had given away, but no file that could change or be waited for") {
  GatewayProcess gateway;
  PrivateDirectory directory;
  const UniqueFd socket = listen_at(directory / "socket");
  gateway.add(1, socket, Mode::kLeased);
  const auto sandbox = gateway.lease(terms());
  gateway.settle();
  REQUIRE(gateway.child().signal(SIGSTOP).ok());
  auto [client, held] = connection();
  const UniqueFd open_file = memory_file("open");
  const UniqueFd sealed_file = memory_file("sealed");
  REQUIRE(handoff::seal(sealed_file).ok());
  for (const UniqueFd *file : {&open_file, &sealed_file})
    REQUIRE(sandbox.handoff.send(handoff::Slow{"head"}, std::vector<BorrowedFd>{held, *file}).ok());
  REQUIRE(gateway.child().signal(SIGKILL).ok());
  REQUIRE(wait_readable(gateway.left().fd(), 5s));
  const auto packet = gateway.left().receive();
  REQUIRE((packet.ok() && packet->has_value()));
  CHECK((*packet)->as<gateway_link::HeldRequest>()->tenant == "tenant1");
  REQUIRE((*packet)->fds.size() == 3);
  std::array<char, 16> buffer;
  CHECK(::pread((*packet)->fds[1].get(), buffer.data(), buffer.size(), 0) == 4);
  CHECK(::pread((*packet)->fds[2].get(), buffer.data(), buffer.size(), 0) == 6);
  CHECK_FALSE(wait_readable(gateway.left().fd(), 200ms));
}
