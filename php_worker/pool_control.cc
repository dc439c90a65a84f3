#include "php_worker/pool_control.h"

#include <sys/mman.h>

#include <new>

namespace paddock::php_worker {

Result<PoolControl *> PoolControl::create() {
  void *page =
      ::mmap(nullptr, sizeof(PoolControl), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno_error("map the pool's control page");
  return new (page) PoolControl();
}

void PoolControl::raise_alarm(const handoff::Page &page, const MessageSocket &gateway) {
  const std::uint32_t wanted = page.alarm.load(std::memory_order_relaxed);
  std::uint32_t raised = alarm_raised.load(std::memory_order_relaxed);
  if (wanted == raised || !alarm_raised.compare_exchange_strong(raised, wanted, std::memory_order_relaxed))
    return;
  [[maybe_unused]] const auto told = gateway.send(handoff::Full{});
}

}  // namespace paddock::php_worker
