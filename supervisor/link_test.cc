#include "supervisor/link.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>

#include "protocols/gateway_link/gateway_link.h"

using namespace paddock;
using supervisor::Link;

namespace {
void run_for(boost::asio::io_context &io, std::chrono::milliseconds time) {
  io.restart();
  io.run_for(time);
}

// Runs the loop until done() or, on a machine however slow, 20 s have passed.
template <typename Done>
void run_until(boost::asio::io_context &io, Done done) {
  for (int i = 0; i < 1000 && !done(); ++i) run_for(io, std::chrono::milliseconds(20));
}
}  // namespace

TEST_CASE("a link hands on packets, and says once that the peer has gone") {
  boost::asio::io_context io{1};
  auto ends = MessageSocket::pair();
  REQUIRE(ends.ok());
  std::vector<std::uint32_t> woken;
  int closed = 0;
  const auto link = Link::start(
      io, std::move(ends->first),
      [&](Packet &packet) { woken.push_back(packet.as<gateway_link::Wake>()->tenant); },
      [&](const Error &) { ++closed; });
  for (std::uint32_t i = 0; i < 200; ++i) REQUIRE(ends->second.send(gateway_link::Wake{i}).ok());
  run_until(io, [&] { return woken.size() >= 200; });
  REQUIRE(woken.size() == 200);
  CHECK(woken.back() == 199);
  ends->second.close();
  run_until(io, [&] { return closed > 0; });
  run_for(io, std::chrono::milliseconds(50));  // not a second time
  CHECK(closed == 1);
}

TEST_CASE("a link queues for a slow peer, in order and with descriptors, without blocking") {
  boost::asio::io_context io{1};
  auto ends = MessageSocket::pair();
  REQUIRE(ends.ok());
  const auto link = Link::start(
      io, std::move(ends->first), [](Packet &) {}, [](const Error &) {});
  constexpr std::uint32_t kCount = 5000;  // more than the socket buffer takes
  const std::array fds{BorrowedFd(0)};
  for (std::uint32_t i = 0; i < kCount; ++i) {
    if (i % 1000 == 0) {
      link->send(gateway_link::Wake{i}, fds);
    } else {
      link->send(gateway_link::Wake{i});
    }
  }
  std::uint32_t next = 0;
  bool in_order = true;
  std::size_t descriptors = 0;
  REQUIRE(ends->second.set_nonblocking(true).ok());
  while (next < kCount) {
    auto packet = ends->second.receive();
    if (!packet) {
      REQUIRE(packet.error().code == EAGAIN);
      run_for(io, std::chrono::milliseconds(5));
      continue;
    }
    in_order = in_order && (*packet)->as<gateway_link::Wake>()->tenant == next++;
    descriptors += (*packet)->fds.size();
  }
  CHECK(in_order);
  CHECK(descriptors == kCount / 1000);
}

TEST_CASE("what is no message closes the link") {
  boost::asio::io_context io{1};
  auto ends = MessageSocket::pair();
  REQUIRE(ends.ok());
  std::string why;
  const auto link = Link::start(
      io, std::move(ends->first), [](Packet &) { FAIL("no packet was sent"); },
      [&](const Error &error) { why = error.message(); });
  REQUIRE(::send(ends->second.fd().get(), "nonsense", 8, 0) == 8);
  run_until(io, [&] { return !why.empty(); });
  CHECK(why.find("magic") != std::string::npos);
}
