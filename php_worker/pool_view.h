// What a worker tells of its pool: the status page and fpm_get_status(), in PHP-FPM's terms.
#pragma once

#include <cstdint>
#include <string>

#include "protocols/handoff/handoff.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {

struct PoolView {
  std::string name;
  std::uint64_t start_ns = 0;                // CLOCK_MONOTONIC
  const scoreboard::Board *board = nullptr;  // null: nothing can be told
  const handoff::Page *gateway = nullptr;    // what the gateway says
};
// In the keeper, before the first worker. What it points to outlives the workers.
void set_pool_view(const PoolView &view);
[[nodiscard]] const PoolView &pool_view();

// Since the sandbox started, and now.
struct PoolFigures {
  std::uint64_t since_s = 0;
  std::uint64_t accepted = 0;
  std::uint64_t queue = 0;  // in the gateway; what waits in the kernel's backlog meanwhile, nobody counts
  std::uint64_t queue_most = 0;
  std::uint64_t queue_limit = 0;
  std::uint64_t idle = 0;
  std::uint64_t active = 0;
  std::uint64_t workers = 0;
  std::uint64_t active_most = 0;
  std::uint64_t limit_reached = 0;  // times that all workers were busy and the gateway had to step in
  std::uint64_t slow = 0;
};
[[nodiscard]] PoolFigures pool_figures();

}  // namespace paddock::php_worker
