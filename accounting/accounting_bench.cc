// What accounting costs the supervisor: CPU of 1,000 active tenants sampled each second for ten minutes, with
// ten rules, and of writing that to history.db each ten seconds. Reading the cgroups' files comes on top.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "accounting/history.h"
#include "accounting/meter.h"
#include "accounting/rule_evaluator.h"

using namespace paddock;
using namespace paddock::accounting;

namespace {

constexpr int kTenants = 1000;
constexpr int kSeconds = 600;
constexpr int kRules = 10;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::vector<Rule> rules() {
  std::vector<Rule> all;
  for (int number = 0; number < kRules; ++number) {
    Rule rule;
    rule.name = "rule" + std::to_string(number);
    rule.condition.metric = static_cast<Metric>(number % 8);
    rule.condition.threshold = 1e15;
    rule.condition.window = std::chrono::seconds(60 * (number + 1));
    all.push_back(std::move(rule));
  }
  return all;
}

}  // namespace

int main() {
  char directory[] = "/tmp/paddock-accounting-bench-XXXXXX";
  if (::mkdtemp(directory) == nullptr) return 1;
  Store store(std::string(directory) + "/history.db");
  History history(store, {});
  RuleEvaluator evaluator(rules());
  std::vector<Meter> meters(kTenants);
  std::vector<std::string> names;
  for (int tenant = 0; tenant < kTenants; ++tenant) names.push_back("tenant" + std::to_string(tenant));

  double metering = 0;
  double evaluating = 0;
  double writing = 0;
  double longest = 0;
  int flushes = 0;
  Time now{std::chrono::seconds(1'767'225'600)};
  for (std::uint64_t second = 1; second <= kSeconds; ++second) {
    now += std::chrono::seconds(1);
    const double begin = cpu_seconds();
    std::vector<Usage> increments;
    increments.reserve(kTenants);
    for (int tenant = 0; tenant < kTenants; ++tenant) {
      Meter &meter = meters[static_cast<std::size_t>(tenant)];
      Counters figures;
      for (const CounterField &field : counter_fields()) figures.*field.member = second * 1000;
      Gauges gauges;
      gauges.memory_bytes = 64 << 20;
      gauges.pids = 5;
      meter.read_kernel(1, figures);
      meter.read_board(1, figures, 4, std::chrono::seconds(second));
      meter.read_gateway(1, figures);
      meter.observe(gauges, std::chrono::seconds(1));
      increments.push_back(meter.take());
      history.record(names[static_cast<std::size_t>(tenant)], now, increments.back(), meter.mark());
    }
    const double metered = cpu_seconds();
    for (int tenant = 0; tenant < kTenants; ++tenant) {
      const auto at = static_cast<std::size_t>(tenant);
      if (!evaluator.observe(names[at], now, std::chrono::seconds(1), increments[at]).empty()) return 2;
    }
    const double evaluated = cpu_seconds();
    const auto wall = std::chrono::steady_clock::now();
    if (const auto ticked = history.tick(now); !ticked) {
      std::fprintf(stderr, "%s\n", ticked.error().message().c_str());
      return 1;
    }
    const double stalled = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
    longest = std::max(longest, stalled);
    if (stalled > 1e-3) ++flushes;
    metering += metered - begin;
    evaluating += evaluated - metered;
    writing += cpu_seconds() - evaluated;
  }
  const auto percent = [](double seconds) { return 100 * seconds / kSeconds; };
  std::printf("%d active tenants, a sample a second, %d rules: percent of one core\n", kTenants, kRules);
  std::printf("  meters and history in memory  %6.3f\n", percent(metering));
  std::printf("  rules                         %6.3f\n", percent(evaluating));
  std::printf(
      "  writing history.db            %6.3f  (%d flushes, the longest held the caller for %.1f ms)\n",
      percent(writing), flushes, 1e3 * longest);
  std::printf("  in all                        %6.3f\n", percent(metering + evaluating + writing));
  std::filesystem::remove_all(directory);
  return 0;
}
