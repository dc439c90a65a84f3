// What the web server's module tells the gateway reaches the supervisor; what anybody else may send does not.
#include "base/wire.h"
#include "fcgi_gateway/test_gateway.h"
#include "protocols/gateway_link/refusal_report.h"

using namespace paddock;
using namespace paddock::fcgi_gateway::testing;
using gateway_link::RefusalReport;

namespace {

void report(const GatewayProcess &gateway, std::span<const std::uint8_t> bytes) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_un where = address(gateway.reports_path());
  REQUIRE(::sendto(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr *>(&where),
                   sizeof where) == static_cast<ssize_t>(bytes.size()));
}

void report(const GatewayProcess &gateway, const RefusalReport &message) {
  report(gateway, wire::encode(message));
}

}  // namespace

TEST_CASE("what the web server refused is counted for the tenant of that name") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(7, socket, Mode::kWatch);
  gateway.settle();
  // None of these is a report; the gateway goes on.
  report(gateway, std::vector<std::uint8_t>());
  report(gateway, std::vector<std::uint8_t>(100, 0xff));
  report(gateway, RefusalReport{"nobody", 0, 1});
  report(gateway, RefusalReport{"tenant7", 3, 1});
  report(gateway, RefusalReport{"tenant7", 0, RefusalReport::kMostRequests + 1});
  report(gateway, RefusalReport{"tenant7", 0, 2});
  report(gateway, RefusalReport{"tenant7", 0, 1});
  for (std::uint64_t told = 0; told < 3;) {  // all at once, unless this machine is very slow
    const auto refused = gateway.next<gateway_link::Refused>(10s);
    REQUIRE(refused);
    REQUIRE((refused->tenant == 7 && refused->reason == "apache-limit" && refused->requests > 0));
    told += refused->requests;
    REQUIRE(told <= 3);
  }
  report(gateway, RefusalReport{"tenant7", 2, 1});
  const auto second = gateway.next<gateway_link::Refused>(10s);
  REQUIRE(second);
  CHECK((second->reason == "not-running" && second->requests == 1));
}
