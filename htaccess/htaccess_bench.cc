// Prints what HtaccessCache::settings() costs a request. Not a test: nothing is asserted.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "htaccess/htaccess_cache.h"
#include "htaccess/temporary_tree.h"

using namespace paddock::htaccess;

namespace {

double microseconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// Prints the processor time of a call (median of many short batches: the machine may be busy with other
// things) and the fastest batch by the clock on the wall.
void measure(const char *what, HtaccessCache &cache, const std::string &root, const std::string &script) {
  constexpr int kBatch = 100, kBatches = 400;
  const Request request;
  std::vector<double> costs, waits;
  for (int batch = 0; batch < kBatches; ++batch) {
    const double spent = microseconds(CLOCK_THREAD_CPUTIME_ID), start = microseconds(CLOCK_MONOTONIC);
    for (int i = 0; i < kBatch; ++i)
      if (!cache.settings(root, script, request).ok()) std::abort();
    waits.push_back((microseconds(CLOCK_MONOTONIC) - start) / kBatch);
    costs.push_back((microseconds(CLOCK_THREAD_CPUTIME_ID) - spent) / kBatch);
  }
  std::sort(costs.begin(), costs.end());
  std::printf("%-46s %6.2f us of CPU, fastest %6.2f us\n", what, costs[costs.size() / 2],
              *std::min_element(waits.begin(), waits.end()));
}

}  // namespace

int main() {
  const TemporaryTree tree;
  HtaccessCache cache;
  std::string deep = "/a/b/c/d/e/f/g/h/i/j";
  tree.write("probe.php", "");
  tree.write(deep.substr(1) + "/probe.php", "");
  measure("in the document root, no .htaccess", cache, tree.path(), tree.path() + "/probe.php");
  measure("ten directories below it, no .htaccess", cache, tree.path(), tree.path() + deep + "/probe.php");
  tree.write(".htaccess", "php_value memory_limit 64M\nphp_flag display_errors on\n");
  measure("ten below, one new .htaccess of two lines", cache, tree.path(), tree.path() + deep + "/probe.php");
  timespec pause{2, 100'000'000};
  ::nanosleep(&pause, nullptr);
  measure("in the root, one .htaccess of two lines", cache, tree.path(), tree.path() + "/probe.php");
  measure("ten below, one .htaccess of two lines", cache, tree.path(), tree.path() + deep + "/probe.php");
  return 0;
}
