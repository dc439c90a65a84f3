#include "policies/network_section.h"

#include <catch2/catch.hpp>

#include "policies/config_test.h"
#include "policies/host_networks.h"

using namespace paddock;
using namespace paddock::policies;

namespace {

// A machine with one network, 192.0.2.0/24, and a resolver of systemd's.
Loaded parse_here(const std::string &text) {
  Machine machine = test_machine();
  machine.networks = [] {
    return std::vector<KnownNetwork>{{Ipv4Range::parse("192.0.2.0/24").value(), "eth0"}};
  };
  machine.read = [](const std::string &, std::size_t) -> Result<std::string> {
    return std::string("# comment\nnameserver fe80::1\nnameserver 127.0.0.53\n");
  };
  return parse_config(text, "/etc/paddock.toml", machine);
}

std::string complaint(const std::string &text) {
  const auto loaded = parse_here(text);
  REQUIRE(!loaded.diagnostics.empty());
  return loaded.diagnostics.front().to_string();
}

}  // namespace

TEST_CASE("a plan says what its network lets through") {
  const auto loaded = parse_here(R"([network]
range = "10.99.0.0/24"
[plan.default]
network = "nat"
network_closed_ports = [25, 6667, 25]
network_allow = ["198.51.100.0/24", "203.0.113.5:443"]
network_services = ["127.0.0.1:3306", "0.0.0.0:53/udp"]
network_new_per_second = 7
[plan.child]
inherits = "default"
network_allow = []
)");
  REQUIRE(loaded.config);
  CHECK(loaded.config->nat.range.to_string() == "10.99.0.0/24");
  CHECK(loaded.config->nat.resolver == parse_ipv4("127.0.0.53"));
  const Plan &plan = loaded.config->plans.at("default");
  CHECK(plan.network == policies::Network::kNat);
  CHECK(plan.egress.closed_ports == std::vector<std::uint16_t>{25, 6667});
  CHECK(plan.egress.allowed.size() == 2);
  CHECK(plan.egress.services.at(1).to_string() == "0.0.0.0:53/udp");
  CHECK(plan.egress.new_per_second == 7);
  const Plan &child = loaded.config->plans.at("child");
  CHECK(child.egress.allowed.empty());
  CHECK(child.egress.closed_ports == plan.egress.closed_ports);
}

TEST_CASE("ports of mail are closed unless a plan opens them") {
  const auto loaded = parse_here("[plan.default]\nnetwork = \"nat\"\n");
  REQUIRE(loaded.config);
  CHECK(loaded.config->plans.at("default").egress.closed_ports == std::vector<std::uint16_t>{25, 465, 587});
  CHECK(loaded.config->nat.range.to_string() == "10.213.0.0/16");
}

TEST_CASE("a range that is the host's is refused where it was written") {
  CHECK(complaint("[network]\nrange = \"192.0.0.0/16\"\n[plan.default]\nnetwork = \"nat\"\n") ==
        "/etc/paddock.toml:2:1: error: network.range: the tenants' range 192.0.0.0/16 collides with "
        "192.0.2.0/24 "
        "of interface \"eth0\"; expected network.range: a range that this host does not know");
  // Nobody uses it.
  CHECK(parse_here("[network]\nrange = \"192.0.0.0/16\"\n").config);
  Machine machine = test_machine();
  machine.networks = [] {
    return std::vector<KnownNetwork>{{Ipv4Range::parse("10.0.0.0/8").value(), "tun0"}};
  };
  const auto loaded = parse_config("[plan.default]\nnetwork = \"nat\"\n", "/etc/paddock.toml", machine);
  REQUIRE(!loaded.config);
  CHECK_THAT(loaded.diagnostics.front().to_string(),
             Catch::StartsWith("/etc/paddock.toml:1:7: error: plan.default: the tenants' range 10.213.0.0/16 "
                               "collides with 10.0.0.0/8"));
}

TEST_CASE("mistakes in networks are told with their place") {
  for (const auto &[text, place] : std::vector<std::pair<std::string, std::string>>{
           {"[network]\nrange = \"10.1.0.1/16\"\n", ":2:1"},
           {"[network]\nrange = \"10.0.0.0/8\"\n", ":2:1"},
           {"[network]\nrange = \"10.0.0.0/30\"\n", ":2:1"},
           {"[network]\nresolver = \"localhost\"\n", ":2:1"},
           {"[network]\nresolvr = \"127.0.0.1\"\n", ":2:1"},
           {"[plan.default]\nnetwork_closed_ports = [25, 0]\n", ":2:29"},
           {"[plan.default]\nnetwork_allow = [\"example.org\"]\n", ":2:18"},
           {"[plan.default]\nnetwork_services = [\"127.0.0.1\"]\n", ":2:21"},
           {"[plan.default]\nnetwork_services = [\"10.0.0.0/8:80\"]\n", ":2:21"},
           {"[plan.default]\nnetwork_new_per_second = -1\n", ":2:26"},
           {"[plan.default]\nnetwork = \"bridge\"\n", ":2:11"}}) {
    INFO(text);
    CHECK(complaint(text).starts_with("/etc/paddock.toml" + place + ": error: "));
  }
}

TEST_CASE("a range must have room for its tenants") {
  std::string text = "[network]\nrange = \"10.99.0.0/29\"\n[plan.default]\nnetwork = \"nat\"\n";
  for (int i = 0; i < 5; ++i) text += "[tenant.t" + std::to_string(i) + "]\nuser = \"alice\"\n";
  CHECK(parse_here(text).config);
  text += "[tenant.more]\nuser = \"alice\"\n";
  CHECK(complaint(text).find("has no room for 6 tenants") != std::string::npos);
}

TEST_CASE("a host without an IPv4 nameserver is warned about") {
  Machine machine = test_machine();
  machine.networks = [] { return std::vector<KnownNetwork>(); };
  machine.read = [](const std::string &, std::size_t) -> Result<std::string> {
    return std::string("search x\n");
  };
  const auto loaded = parse_config("[plan.default]\nnetwork = \"nat\"\n", "/etc/paddock.toml", machine);
  REQUIRE(loaded.config);
  REQUIRE(loaded.diagnostics.size() == 1);
  CHECK(loaded.diagnostics[0].severity == Severity::kWarning);
}

TEST_CASE("routes are read as the kernel writes them") {
  const auto routes = parse_routes(
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "eth0\t00000000\t010010AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
      "eth0\t000010AC\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n"
      "paddock-2\t0200D50A\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0\nrubbish\n");
  REQUIRE(routes.size() == 1);
  CHECK(routes[0].interface == "eth0");
  CHECK(routes[0].range.to_string() == "172.16.0.0/20");
  CHECK(first_nameserver("nameserver\nnameserver 192.0.2.1 # x\n") == parse_ipv4("192.0.2.1"));
}
