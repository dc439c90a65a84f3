// What accounting costs the supervisor: CPU of 1,000 active tenants sampled each second, with ten rules, and
// of writing that to history.db each ten seconds. Each tenant is a cgroup with a process that runs and
// touches memory between two samples, so that the kernel has something to add up. As root; makes and removes
// the cgroups below paddock-bench-PID.
//
// accounting_bench [--without-controllers]: as on a host that has none for us, to see what their files cost.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "accounting/history.h"
#include "accounting/meter.h"
#include "accounting/rule_evaluator.h"
#include "cgroups/hierarchy.h"
#include "supervisor/accountant.h"
#include "supervisor/figures.h"

using namespace paddock;
using namespace paddock::accounting;
using cgroups::StatsReader;

namespace {

constexpr std::size_t kTenants = 1000;
constexpr int kSeconds = 60;
constexpr int kLimitsPeriod =
    static_cast<int>(supervisor::Accountant::kLimitsPeriod / std::chrono::seconds(1));
constexpr int kAllPeriod = static_cast<int>(supervisor::Accountant::kAllPeriod / std::chrono::seconds(1));
constexpr int kRules = 10;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::vector<rules::Rule> ten_rules() {
  std::vector<rules::Rule> all;
  for (int number = 0; number < kRules; ++number) {
    rules::Rule rule;
    rule.name = "rule" + std::to_string(number);
    rule.condition.metric = static_cast<rules::Metric>(number % 8);
    rule.condition.threshold = 1e15;
    rule.condition.window = std::chrono::seconds(60 * (number + 1));
    all.push_back(std::move(rule));
  }
  return all;
}

[[noreturn]] void fail(const Error &error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  std::_Exit(1);
}

void take_controllers_away(const std::string &base) {
  const auto host = cgroups::HostLayout::detect();
  if (!host) fail(host.error());
  const std::string file = host->mount + "/" + base + "/tenants/cgroup.subtree_control";
  for (const char *controller : {"-cpu", "-memory", "-pids", "-io"})
    std::ofstream(file) << controller << std::flush;  // fails where there is none
}

// A tenant's process: at each byte it touches some memory, and says so.
class Busy {
 public:
  Busy() {
    int orders[2];
    int answers[2];
    if (::pipe(orders) != 0 || ::pipe(answers) != 0) fail(errno_error("pipe"));
    pid_ = ::fork();
    if (pid_ < 0) fail(errno_error("fork"));
    if (pid_ == 0) {
      ::close(orders[1]);
      std::vector<char> memory(64 << 10);
      for (char byte = 0; ::read(orders[0], &byte, 1) == 1;) {
        for (std::size_t at = 0; at < memory.size(); at += 4096) memory[at] = byte;
        if (::write(answers[1], &byte, 1) != 1) break;
      }
      ::_exit(0);
    }
    ::close(orders[0]);
    ::close(answers[1]);
    order_ = UniqueFd(orders[1]);
    answer_ = UniqueFd(answers[0]);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void work() const {
    char byte = 1;
    if (::write(order_.get(), &byte, 1) != 1 || ::read(answer_.get(), &byte, 1) != 1)
      fail(errno_error("order some work"));
  }

 private:
  pid_t pid_ = 0;
  UniqueFd order_;
  UniqueFd answer_;
};

struct Sampled {
  std::string name;
  cgroups::Cgroup cgroup;
  Busy process;
  StatsReader reader{};
  Meter meter{};
};

struct Costs {
  double reading = 0;
  double metering = 0;
  double evaluating = 0;
  double writing = 0;
  double longest_flush = 0;
  int flushes = 0;
};

void run(std::vector<Sampled> &tenants, Costs &costs) {
  char directory[] = "/tmp/paddock-accounting-bench-XXXXXX";
  if (::mkdtemp(directory) == nullptr) fail(errno_error("mkdtemp"));
  Store store(std::string(directory) + "/history.db");
  History history(store, {});
  RuleEvaluator evaluator(ten_rules());
  Time now{std::chrono::seconds(1'767'225'600)};
  for (int second = 1; second <= kSeconds; ++second) {
    now += std::chrono::seconds(1);
    for (const Sampled &tenant : tenants) tenant.process.work();
    std::vector<const cgroups::Stats *> figures;
    std::vector<Usage> increments;
    figures.reserve(tenants.size());
    increments.reserve(tenants.size());
    const double begin = cpu_seconds();
    for (std::size_t at = 0; at < tenants.size(); ++at) {
      const std::size_t turn = at + static_cast<std::size_t>(second);
      const auto read = tenants[at].reader.read(turn % kAllPeriod == 0      ? StatsReader::Depth::kAll
                                                : turn % kLimitsPeriod == 0 ? StatsReader::Depth::kLimits
                                                                            : StatsReader::Depth::kNow);
      if (!read) fail(read.error());
      figures.push_back(*read);
    }
    const double read = cpu_seconds();
    for (std::size_t at = 0; at < tenants.size(); ++at) {
      Meter &meter = tenants[at].meter;
      const Counters counters = supervisor::counters_of(*figures[at]);
      meter.read_kernel(1, counters);
      meter.read_board(1, counters, 4, std::chrono::seconds(second));
      meter.observe(supervisor::gauges_of(*figures[at]), std::chrono::seconds(1));
      increments.push_back(meter.take());
      history.record(tenants[at].name, now, increments.back(), meter.mark());
    }
    const double metered = cpu_seconds();
    for (std::size_t at = 0; at < tenants.size(); ++at)
      if (!evaluator.observe(tenants[at].name, now, std::chrono::seconds(1), increments[at]).empty())
        fail(Error{"a rule fired"});
    const double evaluated = cpu_seconds();
    const auto wall = std::chrono::steady_clock::now();
    if (const auto ticked = history.tick(now); !ticked) fail(ticked.error());
    const double stalled = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
    costs.longest_flush = std::max(costs.longest_flush, stalled);
    if (stalled > 1e-3) ++costs.flushes;
    costs.reading += read - begin;
    costs.metering += metered - read;
    costs.evaluating += evaluated - metered;
    costs.writing += cpu_seconds() - evaluated;
  }
  std::filesystem::remove_all(directory);
}

}  // namespace

int main(int count, char **arguments) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const std::string base = "paddock-bench-" + std::to_string(::getpid());
  auto hierarchy = cgroups::Hierarchy::open(base);
  if (!hierarchy) fail(hierarchy.error());
  const bool without = count > 1 && std::string(arguments[1]) == "--without-controllers";
  if (without) take_controllers_away(base);
  std::vector<Sampled> tenants;
  tenants.reserve(kTenants);
  for (std::size_t number = 0; number < kTenants; ++number) {
    const std::string name = "tenant" + std::to_string(number);
    auto cgroup = hierarchy->tenant(name);
    if (!cgroup) fail(cgroup.error());
    tenants.push_back({.name = name, .cgroup = std::move(*cgroup)});
    Sampled &tenant = tenants.back();
    tenant.reader = StatsReader(tenant.cgroup.directory());
    if (const auto moved = tenant.cgroup.attach(tenant.process.pid()); !moved) fail(moved.error());
    if (const auto read = tenant.reader.read(StatsReader::Depth::kAll); !read) fail(read.error());
  }
  Costs costs;
  run(tenants, costs);
  for (const Sampled &tenant : tenants) {
    [[maybe_unused]] const auto killed = tenant.cgroup.kill();
    ::waitpid(tenant.process.pid(), nullptr, 0);
    [[maybe_unused]] const auto removed = tenant.cgroup.remove();
  }
  std::string missing;
  for (const auto &controller : hierarchy->missing_controllers()) missing += " " + controller;
  if (without) missing = " cpu memory pids io";
  if (const auto removed = hierarchy->remove(); !removed) fail(removed.error());

  const auto percent = [](double seconds) { return 100 * seconds / kSeconds; };
  std::printf(
      "%zu active tenants, a sample a second (limits each %d s, all each %d s), %d rules: percent of one "
      "core\n",
      kTenants, kLimitsPeriod, kAllPeriod, kRules);
  if (!missing.empty()) std::printf("  without the files of the controllers%s\n", missing.c_str());
  std::printf("  reading cgroups               %6.3f\n", percent(costs.reading));
  std::printf("  meters and history in memory  %6.3f\n", percent(costs.metering));
  std::printf("  rules                         %6.3f\n", percent(costs.evaluating));
  std::printf(
      "  writing history.db            %6.3f  (%d flushes, the longest held the caller for %.1f ms)\n",
      percent(costs.writing), costs.flushes, 1e3 * costs.longest_flush);
  std::printf("  in all                        %6.3f\n",
              percent(costs.reading + costs.metering + costs.evaluating + costs.writing));
  return 0;
}
