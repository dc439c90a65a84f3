// What a sandbox costs to start and to end: `start_benchmark [COUNT]`, as root. Prints medians in
// microseconds.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sandbox/detached_tree.h"
#include "sandbox/sandbox.h"

using namespace paddock;
using namespace paddock::sandbox;
using Clock = std::chrono::steady_clock;

namespace {

long microseconds(Clock::duration duration) {
  return static_cast<long>(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

void print(const char *what, std::vector<long> values) {
  std::sort(values.begin(), values.end());
  std::printf("%-34s median %6ld  fastest %6ld  slowest %6ld\n", what, values[values.size() / 2],
              values.front(), values.back());
}

Result<void> measure(const BaseView &base, const std::vector<UniqueFd> &trees, Network network,
                     const char *what) {
  std::vector<long> start;
  std::vector<long> all;
  for (const auto &tree : trees) {
    SandboxSpec spec;
    spec.name = "benchmark";
    spec.uid = spec.gid = 54321;
    spec.user = "benchmark";
    spec.home = "/home/benchmark";
    spec.home_tree = tree;
    spec.network = network;
    PADDOCK_TRY(auto prepared, PreparedSandbox::prepare(base, spec));
    const auto began = Clock::now();
    PADDOCK_TRY(const auto spawned, prepared.spawn([](void *, ViewGate &) { return 0; }, nullptr));
    if (spawned.failure) return *spawned.failure;
    start.push_back(microseconds(spawned.took));
    pollfd ended{spawned.child.pidfd().get(), POLLIN, 0};
    ::poll(&ended, 1, 10'000);
    PADDOCK_CHECK([&]() -> Result<void> {
      PADDOCK_TRY([[maybe_unused]] const auto status, spawned.child.try_reap());
      return {};
    }());
    all.push_back(microseconds(Clock::now() - began));
  }
  print((std::string(what) + ", until it stands").c_str(), start);
  print((std::string(what) + ", and ended").c_str(), all);
  return {};
}

Result<void> benchmark(int count) {
  std::vector<UniqueFd> trees[2];
  for (auto &set : trees)
    for (int i = 0; i < count; ++i) {
      PADDOCK_TRY(UniqueFd tree, open_detached_tree("/srv", {.writable = false}));
      set.push_back(std::move(tree));
    }
  const auto began = Clock::now();
  PADDOCK_TRY(const BaseView base, BaseView::enter());
  std::printf("%-34s        %6ld\n", "base view", microseconds(Clock::now() - began));
  PADDOCK_CHECK(measure(base, trees[0], Network::kHost, "host network"));
  return measure(base, trees[1], Network::kNone, "no network");
}

}  // namespace

int main(int argc, char **argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 200;
  if (count < 1) return 2;
  const auto done = benchmark(count);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
