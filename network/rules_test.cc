#include "network/rules.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "network/firewall.h"
#include "network/probe.h"

using namespace paddock;
using namespace paddock::network;

namespace {

Rules example() {
  Rules rules;
  rules.range = Ipv4Range::parse("10.213.0.0/16").value();
  rules.resolver = parse_ipv4("127.0.0.53");
  PlanRules small;
  small.plan = "small.v2";
  small.group = group_of_plan(small.plan);
  small.closed_ports = {25, 465, 587};
  small.services = {Ipv4Endpoint::parse("127.0.0.1:3306").value(), Ipv4Endpoint::parse("0.0.0.0:443").value(),
                    Ipv4Endpoint::parse("192.0.2.1:123/udp").value()};
  small.new_per_second = 20;
  PlanRules closed;
  closed.plan = "closed";
  closed.group = group_of_plan(closed.plan);
  closed.allowed = {Ipv4Endpoint::parse("192.0.2.0/24").value(),
                    Ipv4Endpoint::parse("198.51.100.7:587").value()};
  rules.plans = {closed, small};
  return rules;
}

bool has(const std::string &text, const std::string &line) {
  return text.find(line) != std::string::npos;
}

}  // namespace

TEST_CASE("the kernel takes the rules, and again in their own place") {
  if (::geteuid() != 0) return;
  static const std::string text = ruleset(example());
  const int status = in_private_network(
      [](void *) {
        if (table_exists().value()) return 10;
        for (int i = 0; i < 2; ++i)
          if (const auto done = apply_ruleset(text); !done) {
            static_cast<void>(!::write(2, done.error().attempt.data(), done.error().attempt.size()));
            return 11;
          }
        if (!table_exists().value()) return 12;
        // A transaction that fails leaves what was there.
        if (apply_ruleset("delete table inet paddock\ntable inet paddock {\n chain x { jump nowhere; }\n}\n"))
          return 13;
        if (!table_exists().value()) return 14;
        if (!remove_table() || table_exists().value()) return 15;
        return remove_table() ? 0 : 16;
      },
      nullptr);
  INFO(text);
  CHECK(status == 0);
}

TEST_CASE("what a plan names is in the rules, and what it does not is refused") {
  const std::string text = ruleset(example());
  INFO(text);
  CHECK(has(text, "th dport { 25, 465, 587 } goto refuse"));
  CHECK(has(text, "ip daddr 10.213.0.1 tcp dport 3306 accept"));
  CHECK(has(text, "dnat ip to 127.0.0.1:3306"));
  CHECK(has(text, "fib daddr type local tcp dport 443 accept"));
  CHECK(has(text, "fib daddr type local ip daddr 192.0.2.1 udp dport 123 accept"));
  CHECK(has(text, "ip daddr 10.213.0.0/16 goto refuse"));
  CHECK(has(text, "ip daddr 192.0.2.0/24 accept\n    goto refuse"));
  // The port that the plan names itself comes before those that are closed.
  CHECK(text.find("ip daddr 198.51.100.7 tcp dport 587 accept") < text.find("ip daddr 192.0.2.0/24 accept"));
  Rules none = example();
  none.resolver.reset();
  none.plans.pop_back();
  CHECK_FALSE(has(ruleset(none), "127.0.0."));
}

TEST_CASE("link-local addresses are closed unless they are named") {
  Rules rules = example();
  rules.plans.resize(1);
  CHECK(has(ruleset(rules), "169.254.0.0/16 goto refuse"));
  rules.plans[0].allowed = {Ipv4Endpoint::parse("169.254.1.0/24").value()};
  CHECK_FALSE(has(ruleset(rules), "169.254.0.0/16 goto refuse"));
}

TEST_CASE("groups of plans are apart from those that people use") {
  CHECK(group_of_plan("a") != group_of_plan("b"));
  CHECK(group_of_plan("default") == group_of_plan("default"));
  CHECK(group_of_plan("") > 0xffff);
}
