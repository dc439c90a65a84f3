// What a network of its own adds to the start of a sandbox: `network_benchmark [COUNT]`, as root, in a
// network namespace that is thrown away. Prints medians in microseconds.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "network/firewall.h"
#include "network/interface.h"
#include "network/probe.h"
#include "network/rules.h"

using namespace paddock;
using namespace paddock::network;
using Clock = std::chrono::steady_clock;

namespace {

long microseconds_since(Clock::time_point began) {
  return static_cast<long>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began).count());
}

void print(const char *what, std::vector<long> values) {
  std::sort(values.begin(), values.end());
  std::printf("%-34s median %6ld  fastest %6ld  slowest %6ld\n", what, values[values.size() / 2],
              values.front(), values.back());
}

int benchmark(void *argument) {
  const int count = *static_cast<int *>(argument);
  Rules rules;
  rules.range = {0x0AD50000, 16};
  rules.plans.push_back({.plan = "default",
                         .group = group_of_plan("default"),
                         .closed_ports = {25, 465, 587},
                         .allowed = {},
                         .services = {},
                         .new_per_second = 50});
  auto began = Clock::now();
  if (const auto done = apply_ruleset(ruleset(rules)); !done) {
    std::fprintf(stderr, "%s\n", done.error().message().c_str());
    return 1;
  }
  std::printf("%-34s        %6ld\n", "rules, once", microseconds_since(began));
  std::vector<long> times;
  std::vector<long> reads;
  std::vector<UniqueFd> kept;
  for (int i = 0; i < count; ++i) {
    TenantLink link;
    link.interface = kInterfacePrefix + std::to_string(i + 2);
    link.tenant = "benchmark";
    link.group = rules.plans[0].group;
    link.address = rules.range.first + 2 + static_cast<std::uint32_t>(i);
    link.gateway = rules.gateway();
    began = Clock::now();
    auto made = make_tenant_link(link);
    if (!made) {
      std::fprintf(stderr, "%s\n", made.error().message().c_str());
      return 1;
    }
    times.push_back(microseconds_since(began));
    kept.push_back(std::move(*made));
    began = Clock::now();
    if (!traffic_of(link.interface)) return 1;
    reads.push_back(microseconds_since(began));
  }
  print("namespace, link, addresses, routes", times);
  print("read its counters", reads);
  std::fflush(stdout);
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  int count = argc > 1 ? std::atoi(argv[1]) : 100;
  if (count < 1 || count > 60'000) return 2;
  return in_private_network(benchmark, &count);
}
