// What the keeper wants of the request that a worker is in: to end, because it is late, or to tell where it
// is, because it is slow. It says so in the pool's control page and sends a signal; the signal only makes
// PHP's virtual machine stop at its next safe place, where the wish is looked up. Costs a request nothing.
#pragma once

#include <cstdint>

#include "php_worker/pool_control.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {

// Breaks off the system call that the script waits in: a late script is to notice.
[[nodiscard]] int late_signal();
// Lets the kernel restart it where it can (signal(7), SA_RESTART).
[[nodiscard]] int slow_signal();

// Once, when PHP has started: takes PHP's interrupt hook, and calls whoever had it before.
void hook_vm_interrupt();

// In a worker, before its first request. Both outlive it.
void obey_interrupts(PoolControl &control, std::uint32_t slot, const scoreboard::Slot &own);

// For requests that no PHP runs: who waits for a program looks here, at least every kInterruptLook
// milliseconds (a signal before the wait has begun does nothing).
inline constexpr int kInterruptLook = 100;
// The request is to end. Stays so until the next request.
[[nodiscard]] bool is_late();
// Says so in the log, if it is wanted to be known that the request is slow.
void tell_if_slow();

}  // namespace paddock::php_worker
