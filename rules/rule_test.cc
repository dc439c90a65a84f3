#include "rules/rule.h"

#include <catch2/catch.hpp>
#include <functional>
#include <limits>

using namespace paddock::rules;
using namespace std::chrono_literals;

namespace {

Rule rule(Metric metric, double threshold, std::chrono::seconds window) {
  Rule made;
  made.name = "a rule";
  made.condition = {metric, Comparison::kAbove, threshold, window};
  made.action.command = {"/bin/true"};
  return made;
}

}  // namespace

TEST_CASE("rules that make no sense are refused with what is wrong") {
  struct Case {
    const char *text;  // empty: it is a good one
    std::function<void(Rule &)> change;
  };
  const std::vector<Case> cases = {
      {"", [](Rule &) {}},
      {"name", [](Rule &each) { each.name.clear(); }},
      {"window", [](Rule &each) { each.condition.window = 0s; }},
      {"window", [](Rule &each) { each.condition.window = std::chrono::days(2); }},
      {"cooldown", [](Rule &each) { each.cooldown = 0s; }},
      {"threshold", [](Rule &each) { each.condition.threshold = -1; }},
      {"threshold", [](Rule &each) { each.condition.threshold = std::numeric_limits<double>::quiet_NaN(); }},
      {"never fire", [](Rule &each) { each.condition.threshold = 400; }},
      {"", [](Rule &each) { each.condition.threshold = 399; }},
      {"never fire",
       [](Rule &each) {
         each.condition = {Metric::kThrottledPercent, Comparison::kAtLeast, 101, 60s};
       }},
      {"",
       [](Rule &each) {
         each.condition = {Metric::kThrottledPercent, Comparison::kAtLeast, 100, 60s};
       }},
      {"never fire",
       [](Rule &each) {
         each.condition = {Metric::kOomKills, Comparison::kBelow, 0, 60s};
       }},
      {"always fire",
       [](Rule &each) {
         each.condition = {Metric::kOomKills, Comparison::kAtLeast, 0, 60s};
       }},
      {"always fire",
       [](Rule &each) {
         each.condition = {Metric::kCpuPercent, Comparison::kBelow, 500, 60s};
       }},
      {"never fire", [](Rule &each) { each.tenants = each.exempt = {"alice"}; }},
      {"command", [](Rule &each) { each.action.command.clear(); }},
      {"absolute path", [](Rule &each) { each.action.command = {"true"}; }},
      {"URL", [](Rule &each) { each.action.webhook = "ftp://x"; }},
      {"plan", [](Rule &each) { each.action = {.consequence = Consequence::kThrottle}; }},
      {"duration", [](Rule &each) { each.action = {.consequence = Consequence::kBlock, .duration = -1s}; }},
      {"", [](Rule &each) { each.action = {.consequence = Consequence::kKill}; }},
  };
  for (const Case &each : cases) {
    CAPTURE(each.text);
    Rule changed = rule(Metric::kCpuPercent, 80, 60s);
    each.change(changed);
    const auto valid = validate(changed, 4);
    if (*each.text == '\0') {
      CHECK(valid.ok());
    } else {
      REQUIRE_FALSE(valid.ok());
      CHECK(valid.error().message().find(each.text) != std::string::npos);
    }
  }
  for (int number = 0; number <= static_cast<int>(Metric::kLateRequests); ++number)
    CHECK(metric(to_string(static_cast<Metric>(number))) == static_cast<Metric>(number));
  CHECK_FALSE(metric("cpu"));
}
