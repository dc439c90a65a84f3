#include "php_worker/pool_view.h"

#include <algorithm>

#include "base/monotonic.h"

namespace paddock::php_worker {
namespace {

PoolView pool;

template <typename T>
std::uint64_t figure(const std::atomic<T> &value) {
  return value.load(std::memory_order_relaxed);
}

}  // namespace

void set_pool_view(const PoolView &view) {
  pool = view;
}

const PoolView &pool_view() {
  return pool;
}

PoolFigures pool_figures() {
  const scoreboard::Board &board = *pool.board;
  const handoff::Page &gateway = *pool.gateway;
  PoolFigures figures;
  figures.since_s = (monotonic_ns() - pool.start_ns) / 1'000'000'000;
  figures.active = figure(board.busy);
  figures.accepted = figure(board.requests) + figures.active;
  figures.queue = figure(gateway.queue);
  figures.queue_most = figure(gateway.queue_most);
  figures.queue_limit = figure(gateway.queue_limit);
  figures.workers = figure(board.workers);
  figures.idle = figures.workers - std::min(figures.workers, figures.active);
  figures.active_most = std::max(figure(board.busy_most), figures.active);
  figures.limit_reached = figure(gateway.takeovers);
  figures.slow = figure(board.slow);
  return figures;
}

}  // namespace paddock::php_worker
