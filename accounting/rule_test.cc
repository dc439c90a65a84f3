#include <catch2/catch.hpp>

#include "accounting/accounting_test.h"
#include "accounting/history.h"
#include "accounting/rule_evaluator.h"

using namespace paddock;
using namespace paddock::accounting;
using namespace std::chrono_literals;

namespace {

Rule rule(Metric metric, double threshold, std::chrono::seconds window, std::chrono::seconds cooldown = 600s,
          Comparison comparison = Comparison::kAbove) {
  Rule made;
  made.name = "a rule";
  made.condition = {metric, comparison, threshold, window};
  made.cooldown = cooldown;
  made.action.command = {"/bin/true"};
  return made;
}

Usage counted(std::uint64_t Counters::*counter, std::uint64_t value) {
  Usage usage;
  usage.counters.*counter = value;
  return usage;
}

// From `begin` on, so many samples of that length and use.
struct Stretch {
  std::chrono::seconds begin;
  int samples;
  std::chrono::seconds length;
  Usage usage;
};

std::vector<std::int64_t> firing_seconds(RuleEvaluator &evaluator, const std::vector<Stretch> &stretches) {
  std::vector<std::int64_t> seconds;
  for (const Stretch &stretch : stretches)
    for (int number = 1; number <= stretch.samples; ++number) {
      const Time end = kNewYear + stretch.begin + number * stretch.length;
      for (const Firing &firing : evaluator.observe("alice", end, stretch.length, stretch.usage)) {
        CHECK(firing.time == end);
        seconds.push_back(std::chrono::duration_cast<std::chrono::seconds>(end - kNewYear).count());
      }
    }
  return seconds;
}

}  // namespace

TEST_CASE("rules fire when, and only when, their condition comes true") {
  struct Case {
    const char *name;
    Rule rule;
    std::vector<Stretch> samples;
    std::vector<std::int64_t> firings;  // seconds
  };
  const Usage one_core = cpu(1'000'000);  // in a second
  const Usage half_core = cpu(500'000);
  const Usage oom = counted(&Counters::oom_kills, 1);
  const Usage gib = counted(&Counters::memory_kib_s, 1 << 20);
  const Usage throttled = counted(&Counters::cpu_throttled_periods, 5);  // half of a second's periods
  const Usage pids = counted(&Counters::pids_s, 40);
  const Usage requests = counted(&Counters::requests, 100);
  const Usage refused = counted(&Counters::refused, 100);
  const Usage late = counted(&Counters::late, 1);
  const Usage mib_out = counted(&Counters::net_out_bytes, 1 << 20);
  const std::vector<Case> cases = {
      {"cpu: full use reaches 80 % of a minute after 48 s and a bit",
       rule(Metric::kCpuPercent, 80, 60s),
       {{0s, 120, 1s, one_core}},
       {49}},
      {"cpu: below the threshold never", rule(Metric::kCpuPercent, 80, 60s), {{0s, 600, 1s, half_core}}, {}},
      {"cpu: exactly the threshold is not above it",
       rule(Metric::kCpuPercent, 50, 60s),
       {{0s, 600, 1s, half_core}},
       {}},
      {"cpu: exactly the threshold is at least it",
       rule(Metric::kCpuPercent, 50, 60s, 600s, Comparison::kAtLeast),
       {{0s, 100, 1s, half_core}},
       {60}},
      {"cpu: a peak that is over goes out of the window",
       rule(Metric::kCpuPercent, 50, 60s),
       {{0s, 20, 1s, one_core}, {60s, 20, 1s, one_core}, {120s, 20, 1s, one_core}},
       {}},
      {"cpu: samples of a minute say the same as those of a second",
       rule(Metric::kCpuPercent, 80, 600s),
       {{0s, 10, 60s, cpu(60'000'000)}},
       {540}},
      {"cooldown: fires again after it while it lasts",
       rule(Metric::kCpuPercent, 80, 10s, 100s),
       {{0s, 300, 1s, one_core}},
       {9, 109, 209}},
      {"memory: average over the window",
       rule(Metric::kMemoryBytes, 512.0 * (1 << 20), 60s),
       {{0s, 60, 1s, gib}},
       {31}},
      {"throttled: share of the quota's periods",
       rule(Metric::kThrottledPercent, 40, 10s),
       {{0s, 20, 1s, throttled}},
       {9}},
      {"throttled: less than that never",
       rule(Metric::kThrottledPercent, 50, 10s),
       {{0s, 20, 1s, throttled}},
       {}},
      {"pids", rule(Metric::kPids, 39, 10s, 600s), {{0s, 20, 1s, pids}}, {10}},
      {"requests: executed", rule(Metric::kRequestsPerSecond, 90, 10s), {{0s, 20, 1s, requests}}, {10}},
      {"requests: refused ones as well",
       rule(Metric::kRequestsPerSecond, 90, 10s),
       {{0s, 20, 1s, refused}},
       {10}},
      {"egress: sum", rule(Metric::kEgressBytes, 10.0 * (1 << 20), 60s), {{0s, 60, 1s, mib_out}}, {11}},
      {"egress: in more time than the window never",
       rule(Metric::kEgressBytes, 10.0 * (1 << 20), 60s),
       {{0s, 100, 10s, mib_out}},
       {}},
      {"oom kills: the third within ten minutes",
       rule(Metric::kOomKills, 3, 600s, 3600s, Comparison::kAtLeast),
       {{0s, 1, 1s, oom}, {200s, 1, 1s, oom}, {400s, 1, 1s, oom}},
       {401}},
      {"oom kills: three in longer than that are not",
       rule(Metric::kOomKills, 3, 600s, 3600s, Comparison::kAtLeast),
       {{0s, 1, 1s, oom}, {400s, 1, 1s, oom}, {800s, 1, 1s, oom}},
       {}},
      {"late requests: recorded in a sample of a minute",
       rule(Metric::kLateRequests, 2, 120s),
       {{0s, 3, 60s, late}},
       {}},
      {"late requests: more than two in three minutes",
       rule(Metric::kLateRequests, 2, 180s),
       {{0s, 3, 60s, late}},
       {180}},
      {"below: not before the whole window was seen",
       rule(Metric::kCpuPercent, 10, 60s, 600s, Comparison::kBelow),
       {{0s, 100, 1s, Usage{}}},
       {60}},
      {"below: a gap begins it anew",
       rule(Metric::kCpuPercent, 10, 60s, 600s, Comparison::kAtMost),
       {{0s, 50, 1s, Usage{}}, {100s, 59, 1s, Usage{}}},
       {}},
  };
  for (const Case &each : cases) {
    CAPTURE(each.name);
    RuleEvaluator evaluator({each.rule});
    CHECK(firing_seconds(evaluator, each.samples) == each.firings);
  }
}

TEST_CASE("a firing says the figure and what led to it") {
  Rule hog = rule(Metric::kCpuPercent, 80, 10s);
  hog.name = "cpu \"hog\"";
  hog.dry_run = true;
  hog.action = {.consequence = Consequence::kBlock, .duration = 1h};
  RuleEvaluator evaluator({hog});
  std::vector<Firing> firings;
  for (int second = 1; firings.empty() && second < 20; ++second)
    firings = evaluator.observe("alice", kNewYear + std::chrono::seconds(second), 1s, cpu(1'500'000));
  REQUIRE(firings.size() == 1);
  const Firing &firing = firings.front();
  CHECK(firing.rule == hog.name);
  CHECK(firing.tenant == "alice");
  CHECK(firing.figure == Approx(90));
  CHECK(firing.dry_run);
  CHECK(firing.action.duration == 1h);
  CHECK(firing.text() == "cpu_percent 90 > 80 over 10 s");
  CHECK(firing.to_json() ==
        R"({"rule":"cpu \"hog\"","metric":"cpu_percent","figure":90,"comparison":">","threshold":80,)"
        R"("window_s":10,"action":"block","dry_run":true})");
}

TEST_CASE("tenants do not add up, and rules are for whom they name") {
  Rule everybody = rule(Metric::kOomKills, 2, 60s);
  everybody.exempt = {"carol"};
  Rule only_bob = rule(Metric::kOomKills, 0, 60s);
  only_bob.name = "bob's";
  only_bob.tenants = {"bob"};
  RuleEvaluator evaluator({everybody, only_bob});
  const Usage two = counted(&Counters::oom_kills, 2);
  CHECK(evaluator.observe("alice", kNewYear, 1s, two).empty());
  CHECK(evaluator.observe("carol", kNewYear, 1s, counted(&Counters::oom_kills, 100)).empty());
  const auto bob = evaluator.observe("bob", kNewYear, 1s, two);
  REQUIRE(bob.size() == 1);
  CHECK(bob[0].rule == "bob's");
  CHECK(evaluator.observe("alice", kNewYear + 1s, 1s, two).size() == 1);
}

TEST_CASE("a clock that is set back neither piles use up nor holds a rule off for ever") {
  RuleEvaluator evaluator({rule(Metric::kCpuPercent, 80, 60s, 100s)});
  const Usage half = cpu(500'000);
  for (int second = 1; second <= 100; ++second)
    REQUIRE(evaluator.observe("alice", kNewYear + std::chrono::seconds(second), 1s, half).empty());
  for (int second = 1; second <= 1000; ++second)
    REQUIRE(evaluator.observe("alice", kNewYear - 1h + std::chrono::seconds(second), 1s, half).empty());

  evaluator.restore("a rule", "bob", kNewYear + 10h);
  std::size_t fired = 0;
  CHECK(evaluator.observe("bob", kNewYear + 10h, 1s, Usage{}).empty());
  for (int second = 1; second <= 200; ++second)
    fired += evaluator.observe("bob", kNewYear + std::chrono::seconds(second), 1s, cpu(1'000'000)).size();
  CHECK(fired == 1);
}

TEST_CASE("cooldowns survive a restart by the event log") {
  RuleEvaluator evaluator({rule(Metric::kOomKills, 0, 60s, 600s)});
  evaluator.restore("a rule", "alice", kNewYear);
  evaluator.restore("no such rule", "alice", kNewYear + 1h);
  const Usage oom = counted(&Counters::oom_kills, 1);
  CHECK(evaluator.observe("alice", kNewYear + 599s, 1s, oom).empty());
  CHECK(evaluator.observe("alice", kNewYear + 600s, 1s, oom).size() == 1);
}

TEST_CASE("new rules keep the windows of those that stay") {
  const Rule old = rule(Metric::kOomKills, 1, 60s);
  RuleEvaluator evaluator({old});
  const Usage oom = counted(&Counters::oom_kills, 1);
  CHECK(evaluator.observe("alice", kNewYear, 1s, oom).empty());
  Rule other = rule(Metric::kLateRequests, 1, 60s);
  other.name = "another";
  evaluator.set_rules({other, old});
  CHECK(evaluator.observe("alice", kNewYear + 1s, 1s, oom).size() == 1);
  evaluator.set_rules({});
  CHECK(evaluator.observe("alice", kNewYear + 2s, 1s, oom).empty());
}

TEST_CASE("tenants that are idle for long are forgotten") {
  RuleEvaluator evaluator({rule(Metric::kOomKills, 0, 60s, 600s)});
  CHECK(evaluator.observe("alice", kNewYear, 1s, Usage{}).empty());
  CHECK(evaluator.observe("bob", kNewYear + 500s, 1s, Usage{}).empty());
  evaluator.expire(kNewYear + 600s);
  CHECK(evaluator.tenants() == 2);
  evaluator.expire(kNewYear + 700s);
  CHECK(evaluator.tenants() == 1);
}

TEST_CASE("a replay over recorded history finds what live samples would have") {
  const TempDir directory;
  Store store(directory.file());
  History history(store, {});
  Rule hog = rule(Metric::kCpuPercent, 80, 600s, 3600s);
  Rule oom = rule(Metric::kOomKills, 3, 600s, 3600s, Comparison::kAtLeast);
  oom.name = "oom";
  RuleEvaluator live({hog, oom});
  std::vector<Firing> fired;
  for (int second = 1; second <= 3600; ++second) {
    const Time now = kNewYear + std::chrono::seconds(second);
    for (const std::string tenant : {"alice", "bob"}) {
      Usage usage = cpu(tenant == "alice" && second > 1200 ? 1'000'000 : 100'000);
      if (tenant == "bob" && second % 250 == 0 && second > 2000) usage.counters.oom_kills = 1;
      // What was used in this second belongs to the minute that the second began in.
      history.record(tenant, now - 1s, usage);
      for (Firing &firing : live.observe(tenant, now, 1s, usage)) fired.push_back(std::move(firing));
    }
    REQUIRE(history.tick(now).ok());
  }
  REQUIRE(history.flush(kNewYear + 1h).ok());
  const auto replayed =
      replay(**store.database(kNewYear), {hog, oom}, kNewYear, kNewYear + 1h, Resolution::kMinute);
  REQUIRE(replayed.ok());
  REQUIRE(fired.size() == 2);
  REQUIRE(replayed->size() == 2);
  for (std::size_t number = 0; number < 2; ++number) {
    CAPTURE(number);
    CHECK((*replayed)[number].rule == fired[number].rule);
    CHECK((*replayed)[number].tenant == fired[number].tenant);
    CHECK((*replayed)[number].time >= fired[number].time);
    CHECK((*replayed)[number].time - fired[number].time <= 1min);
  }
  CHECK(
      replay(**store.database(kNewYear), {hog}, kNewYear + 2h, kNewYear + 3h, Resolution::kMinute)->empty());
}
