// Prints what HtaccessCache::settings() costs a request. Not a test: nothing is asserted.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "htaccess/htaccess_cache.h"
#include "htaccess/temporary_tree.h"

using namespace paddock::htaccess;

namespace {

void measure(const char *what, HtaccessCache &cache, const std::string &root, const std::string &script) {
  constexpr int kBatch = 2000, kBatches = 25;
  const Request request;
  std::vector<double> costs;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kBatch; ++i)
      if (!cache.settings(root, script, request).ok()) std::abort();
    const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
    costs.push_back(spent.count() / kBatch);
  }
  std::sort(costs.begin(), costs.end());
  std::printf("%-48s %6.2f us (fastest batch %.2f)\n", what, costs[costs.size() / 2], costs.front());
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
