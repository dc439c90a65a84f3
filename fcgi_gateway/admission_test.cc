// A tenant whose sandbox is full: when the gateway takes the socket over, whom it hands what, whom it
// refuses, and when it gives the socket back. The sandbox is played by this process.
#include "fcgi_gateway/test_gateway.h"

using namespace paddock;
using namespace paddock::fcgi_gateway::testing;

namespace {

constexpr std::uint16_t kWorkers = 2;
constexpr std::size_t kQueue = 3;

// One tenant, leased to a sandbox of two workers that this test plays.
class FullSandbox {
 public:
  explicit FullSandbox(std::uint32_t queue_time_ms = 60'000)
      : socket_(listen_at(directory_ / "s")), queue_time_ms_(queue_time_ms) {
    gateway.add(1, socket_, Mode::kLeased);
    lease();
  }

  void lease() {
    gateway_link::Lease message;
    message.tenant = 1;
    message.workers = kWorkers;
    message.queue = kQueue;
    message.queue_time_ms = queue_time_ms_;
    // Who has connected and not yet sent counts as slow for that moment.
    message.slow_clients = 8;
    message.receive_time_ms = 10'000;
    message.body_bytes = 1 << 20;
    message.retry_after_s = 7;
    message.page = "<p>Full.</p>";
    sandbox = gateway.lease(message);
    gateway.settle();
  }

  // Every worker is in a request, and says so if the gateway wants to know.
  void fill() {
    for (std::uint16_t i = 0; i < kWorkers; ++i) set_busy(i, true);
    REQUIRE(sandbox.page->alarm.load() != 0);
    REQUIRE(sandbox.handoff.send(handoff::Full{}).ok());
  }
  void set_busy(std::uint16_t slot, bool busy) {
    const auto state = busy ? scoreboard::State::kBusy : scoreboard::State::kIdle;
    const auto before = sandbox.board->slots[slot].state.exchange(static_cast<std::uint32_t>(state));
    if (busy) ++sandbox.board->busy;
    if (!busy && before == static_cast<std::uint32_t>(scoreboard::State::kBusy)) --sandbox.board->busy;
  }

  UniqueFd visitor() {
    UniqueFd client = connect_to(directory_ / "s");
    REQUIRE(send_text(client, request_head() + stdin_end()));
    return client;
  }
  [[nodiscard]] bool taken() const { return sandbox.page->takeover.load() == 1; }
  [[nodiscard]] bool wait_taken(bool wanted, std::chrono::milliseconds time = 10s) const {
    const auto end = Clock::now() + time;
    while (taken() != wanted && Clock::now() < end) std::this_thread::sleep_for(1ms);
    return taken() == wanted;
  }
  // A worker ends its request and asks for the next.
  void ask() {
    sandbox.board->slots[0].asks = 1;
    REQUIRE(sandbox.handoff.send(handoff::Ready{}).ok());
  }
  // A worker that had asked has taken what another was sent.
  void ask_no_more() { sandbox.board->slots[0].asks = 0; }
  // What a worker that asked gets: a connection, or nothing (Resume).
  UniqueFd answer() {
    REQUIRE(wait_readable(sandbox.handoff.fd(), 10s));
    auto packet = sandbox.handoff.receive();
    REQUIRE((packet.ok() && packet->has_value()));
    ask_no_more();
    if ((*packet)->as<handoff::Resume>().ok()) return {};
    REQUIRE((*packet)->as<handoff::Connection>().ok());
    REQUIRE((*packet)->fds.size() == 1);
    return std::move((*packet)->fds.front());
  }
  [[nodiscard]] BorrowedFd socket() const { return socket_; }

 private:
  PrivateDirectory directory_;
  UniqueFd socket_;
  std::uint32_t queue_time_ms_;

 public:
  GatewayProcess gateway;
  GatewayProcess::Sandbox sandbox;
};

bool is_connected(BorrowedFd one, BorrowedFd other) {
  send_text(one, "x");
  return wait_readable(other, 5s);
}

}  // namespace

TEST_CASE("a full sandbox whose requests end keeps its socket") {
  FullSandbox full;
  full.fill();
  const UniqueFd waiting = full.visitor();
  for (int i = 0; i < 30; ++i) {
    ++full.sandbox.board->requests;
    std::this_thread::sleep_for(10ms);
    if (full.taken()) break;
  }
  CHECK_FALSE(full.taken());
  CHECK(wait_readable(full.socket(), 0ms));
}

TEST_CASE("nothing happens while nobody waits") {
  FullSandbox full;
  full.fill();
  CHECK_FALSE(full.wait_taken(true, 400ms));
}

TEST_CASE("a full sandbox that does not move is taken over, and its queue is served in order") {
  FullSandbox full;
  full.fill();
  const UniqueFd first = full.visitor();
  const UniqueFd second = full.visitor();
  REQUIRE(full.wait_taken(true));
  CHECK_FALSE(wait_readable(full.sandbox.handoff.fd(), 50ms));  // nobody has asked
  full.set_busy(0, false);
  full.ask();
  const UniqueFd handed = full.answer();
  REQUIRE(handed.valid());
  CHECK(is_connected(handed, first));
  full.ask();
  const UniqueFd next = full.answer();
  REQUIRE(next.valid());
  CHECK(is_connected(next, second));
  // The queue is empty and a worker waits: the socket goes back, and the worker is told.
  full.ask();
  REQUIRE(full.wait_taken(false));
  CHECK_FALSE(full.answer().valid());
  CHECK(full.gateway.descriptors() < 20);
}

TEST_CASE("questions that were answered otherwise are not answered again") {
  FullSandbox full;
  full.fill();
  const UniqueFd client = full.visitor();
  REQUIRE(full.wait_taken(true));
  for (int i = 0; i < 20; ++i) {
    full.ask();
    full.ask_no_more();
  }
  full.gateway.settle();
  full.set_busy(0, false);
  full.ask();
  CHECK(full.answer().valid());
  full.ask();
  REQUIRE(full.wait_taken(false));
  CHECK_FALSE(full.answer().valid());
  CHECK_FALSE(wait_readable(full.sandbox.handoff.fd(), 100ms));
}

TEST_CASE("what the queue cannot hold is refused at once") {
  FullSandbox full;
  full.fill();
  const UniqueFd trigger = full.visitor();
  REQUIRE(full.wait_taken(true));
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < 40; ++i) clients.push_back(full.visitor());
  std::size_t refused = 0;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (!wait_readable(clients[i], i < kQueue - 1 ? 200ms : 5'000ms)) continue;
    const Answer answer = read_answer(clients[i], 5s);
    CHECK(answer.out.starts_with("Status: 503"));
    CHECK(answer.out.find("Retry-After: 7\r\n") != std::string::npos);
    CHECK(answer.out.find("X-Paddock-Reason: queue-full\r\n") != std::string::npos);
    CHECK(answer.out.ends_with("<p>Full.</p>"));
    ++refused;
  }
  // The first to come still wait.
  CHECK(refused == 40 + 1 - kQueue);
  std::uint64_t counted = 0;
  while (counted < refused) {
    const auto told = full.gateway.next<gateway_link::Refused>(5s);
    REQUIRE(told);
    counted += told->requests;
  }
  CHECK(counted == refused);
}

TEST_CASE("who has waited its time is refused") {
  FullSandbox full(300);
  full.fill();
  const UniqueFd client = full.visitor();
  const Answer answer = read_answer(client, 10s);
  CHECK(answer.out.find("X-Paddock-Reason: queue-time\r\n") != std::string::npos);
}

TEST_CASE("a visitor who hangs up makes room") {
  FullSandbox full;
  full.fill();
  UniqueFd gone = full.visitor();
  REQUIRE(full.wait_taken(true));
  const UniqueFd second = full.visitor();
  const UniqueFd third = full.visitor();
  std::this_thread::sleep_for(100ms);
  gone.reset();
  std::this_thread::sleep_for(100ms);
  const UniqueFd fourth = full.visitor();
  CHECK_FALSE(wait_readable(fourth, 300ms));  // not refused: there is a place
  full.set_busy(0, false);
  full.ask();
  const UniqueFd handed = full.answer();
  REQUIRE(handed.valid());
  CHECK(is_connected(handed, second));
}

TEST_CASE("more than the plan allows is refused even where requests end") {
  FullSandbox full;
  full.fill();
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < 30; ++i) clients.push_back(full.visitor());
  bool taken = false;
  const auto end = Clock::now() + 5s;
  while (!taken && Clock::now() < end) {
    ++full.sandbox.board->requests;  // as a lying scoreboard would have it
    std::this_thread::sleep_for(5ms);
    taken = full.taken();
  }
  REQUIRE(taken);
  CHECK(read_answer(clients.back(), 5s).out.starts_with("Status: 503"));
}

TEST_CASE("a crowd that fits is let through, and the socket goes back") {
  FullSandbox full;
  full.fill();
  const UniqueFd first = full.visitor();
  const UniqueFd second = full.visitor();
  std::atomic<bool> stop = false;
  std::thread moving([&] {
    while (!stop) {
      ++full.sandbox.board->requests;
      std::this_thread::sleep_for(5ms);
    }
  });
  const bool taken = full.wait_taken(true);
  full.set_busy(0, false);
  full.ask();
  const UniqueFd one = full.answer();
  full.ask();
  const UniqueFd two = full.answer();
  const bool back = full.wait_taken(false);
  stop = true;
  moving.join();
  REQUIRE(taken);
  CHECK((one.valid() && two.valid()));
  CHECK(back);
}

TEST_CASE("the queue outlives the sandbox") {
  FullSandbox full;
  full.fill();
  const UniqueFd client = full.visitor();
  REQUIRE(full.wait_taken(true));
  REQUIRE(full.gateway.link().send(gateway_link::EndLease{1}).ok());
  SECTION("and goes to the next") {
    full.gateway.set_mode(1, Mode::kWatch);
    REQUIRE(full.gateway.next<gateway_link::Wake>(5s));
    full.gateway.set_mode(1, Mode::kLeased);
    full.lease();
    REQUIRE(full.taken());
    full.set_busy(0, false);
    full.ask();
    const UniqueFd handed = full.answer();
    REQUIRE(handed.valid());
    CHECK(is_connected(handed, client));
  }
  SECTION("or is refused with the tenant") {
    full.gateway.set_mode(1, Mode::kRefuse, kBlocked);
    CHECK(read_answer(client, 5s).out.find("X-Paddock-Reason: blocked") != std::string::npos);
  }
}

TEST_CASE("a gateway that is started anew ends what the one before had begun") {
  const PrivateDirectory directory;
  const UniqueFd socket = listen_at(directory / "s");
  auto board = scoreboard::create_board("test");
  auto page = handoff::create_page("test");
  auto ends = MessageSocket::pair();
  REQUIRE((board.ok() && page.ok() && ends.ok()));
  auto mapped = handoff::MappedPage::map(*page, true);
  REQUIRE(mapped.ok());
  (*mapped)->takeover = 1;
  GatewayProcess gateway;
  gateway.add(1, socket, Mode::kLeased);
  const std::vector fds{board->borrow(), page->borrow(), ends->first.fd()};
  gateway_link::Lease message;
  message.tenant = 1;
  message.workers = 2;
  REQUIRE(gateway.link().send(message, fds).ok());
  gateway.settle();
  CHECK((*mapped)->takeover == 0);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(wait_readable(ends->second.fd(), 5s));
    CHECK((*ends->second.receive())->as<handoff::Resume>().ok());
  }
}

TEST_CASE("a sandbox that floods the gateway with questions keeps nobody waiting") {
  FullSandbox full;
  const PrivateDirectory directory;
  const UniqueFd other = listen_at(directory / "other");
  full.gateway.add(2, other, Mode::kRefuse, kBlocked);
  REQUIRE(full.sandbox.handoff.set_nonblocking(true).ok());
  std::atomic<bool> stop = false;
  std::thread flood([&] {
    while (!stop) {
      (void)full.sandbox.handoff.send(handoff::Ready{});
      (void)full.sandbox.handoff.receive();
    }
  });
  bool answered = true;
  for (int i = 0; i < 20; ++i) answered = ask(directory / "other", 5s).ended && answered;
  stop = true;
  flood.join();
  CHECK(answered);
}

TEST_CASE("a sandbox that talks nonsense is not listened to") {
  FullSandbox full;
  const std::array<std::uint8_t, 5> garbage{1, 2, 3, 4, 5};
  REQUIRE(full.sandbox.handoff.send_bytes(garbage).ok());
  full.gateway.settle();
  full.gateway.set_mode(1, Mode::kRefuse, kBlocked);
  const UniqueFd client = full.visitor();
  CHECK(read_answer(client, 5s).ended);
}
