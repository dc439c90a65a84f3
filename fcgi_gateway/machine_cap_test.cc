// All tenants against the web server's threads: who is cut, to what, and who is not.
#include "fcgi_gateway/machine_cap.h"

#include <array>
#include <vector>

#include "fcgi_gateway/test_gateway.h"

using namespace paddock;
using namespace paddock::fcgi_gateway;
using namespace paddock::fcgi_gateway::testing;

namespace {

std::uint32_t share_of(const std::vector<std::uint32_t> &held, std::uint32_t most) {
  return fair_share(held, most);
}

// A tenant whose one worker is busy for good, as its sandbox says.
class Busy {
 public:
  Busy(GatewayProcess &gateway, std::uint32_t tenant, std::uint32_t queue, const std::string &path)
      : path_(path), socket_(listen_at(path)) {
    gateway.add(tenant, socket_, Mode::kLeased);
    gateway_link::Lease message;
    message.tenant = tenant;
    message.workers = 1;
    message.queue = queue;
    message.queue_time_ms = 60'000;
    message.slow_clients = 8;
    message.receive_time_ms = 10'000;
    message.retry_after_s = 7;
    sandbox_ = gateway.lease(message);
    gateway.settle();
    sandbox_.board->slots[0].state = static_cast<std::uint32_t>(scoreboard::State::kBusy);
    sandbox_.board->busy = 1;
    REQUIRE(sandbox_.handoff.send(handoff::Full{}).ok());
  }

  void visit(std::size_t visitors) {
    for (std::size_t i = 0; i < visitors; ++i) {
      visitors_.push_back(connect_to(path_));
      REQUIRE(send_text(visitors_.back(), request_head() + stdin_end()));
    }
  }
  // Waits until so many visitors wait, and nobody goes any more.
  [[nodiscard]] bool has_waiting(std::uint32_t wanted) const {
    const auto end = Clock::now() + 10s;
    while (sandbox_.page->queue.load() != wanted && Clock::now() < end) std::this_thread::sleep_for(5ms);
    std::this_thread::sleep_for(200ms);
    return sandbox_.page->queue.load() == wanted;
  }
  // Of those that were refused.
  [[nodiscard]] std::vector<std::string> answers() {
    std::vector<std::string> all;
    for (const UniqueFd &visitor : visitors_)
      if (wait_readable(visitor, 0ms)) all.push_back(read_answer(visitor, 5s).out);
    return all;
  }

 private:
  std::string path_;
  UniqueFd socket_;
  GatewayProcess::Sandbox sandbox_;
  std::vector<UniqueFd> visitors_;
};

}  // namespace

TEST_CASE("a share is the largest that fits") {
  CHECK(share_of({}, 5) == CapMember::kNoShare);
  CHECK(share_of({2, 3}, 5) == CapMember::kNoShare);
  CHECK(share_of({20}, 5) == 5);
  CHECK(share_of({20, 1}, 5) == 4);
  CHECK(share_of({3, 3}, 5) == 2);
  CHECK(share_of({100, 1, 100, 2}, 63) == 30);
  CHECK(share_of({1, 1, 1}, 2) == 1);  // never nothing
  CHECK(share_of({4'000'000'000, 4'000'000'000}, 4'000'000'000) == 2'000'000'000);
}

TEST_CASE("who holds most is cut first, who holds little is not, and all is well again afterwards") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  Busy greedy(gateway, 1, 100, directory / "greedy");
  Busy modest(gateway, 2, 100, directory / "modest");
  greedy.visit(20);
  REQUIRE(greedy.has_waiting(20));
  REQUIRE(gateway.link().send(gateway_link::CapRequests{12}).ok());
  // Each runs one as well: 11 are the greedy one's share while the other holds one.
  CHECK(greedy.has_waiting(10));
  modest.visit(3);
  CHECK(modest.has_waiting(3));
  CHECK(greedy.has_waiting(7));
  const auto refused = greedy.answers();
  CHECK(refused.size() == 13);
  for (const std::string &answer : refused) {
    CHECK(answer.find("Status: 503") != std::string::npos);
    CHECK(answer.find("X-Paddock-Reason: machine-full") != std::string::npos);
    CHECK(answer.find("Retry-After: 7") != std::string::npos);
  }
  CHECK(modest.answers().empty());
  greedy.visit(1);
  CHECK(greedy.has_waiting(7));
  REQUIRE(gateway.link().send(gateway_link::CapRequests{0}).ok());
  greedy.visit(5);
  CHECK(greedy.has_waiting(12));
}
