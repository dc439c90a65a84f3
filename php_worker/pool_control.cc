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

}  // namespace paddock::php_worker
