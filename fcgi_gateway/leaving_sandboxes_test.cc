// What the last workers of a sandbox give away before they end.
#include "fcgi_gateway/test_gateway.h"

using namespace paddock;
using namespace paddock::fcgi_gateway::testing;

TEST_CASE(
    "a slow client that a worker gives away after its sandbox's lease has ended wakes the next sandbox") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kLeased);
  gateway_link::Lease terms;
  terms.tenant = 1;
  terms.queue = 3;
  terms.queue_time_ms = 60'000;
  terms.slow_clients = 8;
  terms.receive_time_ms = 60'000;
  terms.body_bytes = 1 << 20;
  const auto sandbox = gateway.lease(terms);
  gateway.settle();
  REQUIRE(gateway.link().send(gateway_link::EndLease{1}).ok());
  gateway.settle();

  const UniqueFd client = connect_to(directory / "s");
  const std::string head = request_head();
  REQUIRE(send_text(client, head.substr(0, 20)));
  const UniqueFd accepted(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  std::array<char, 20> begun{};
  REQUIRE(::recv(accepted.get(), begun.data(), begun.size(), 0) == 20);
  const std::vector<BorrowedFd> fds{accepted};
  REQUIRE(sandbox.handoff.send(handoff::Slow{std::string(begun.data(), begun.size())}, fds).ok());
  REQUIRE(send_text(client, head.substr(20) + stdin_end()));
  gateway.set_mode(1, Mode::kWatch);
  const auto wake = gateway.next<gateway_link::Wake>(10s);
  REQUIRE(wake);
  CHECK(wake->tenant == 1);
  CHECK_FALSE(wait_readable(client, 0ms));  // no end of file: the next sandbox answers
}
