// What the keeper and its workers tell each other beside the scoreboard: anonymous shared memory, made by the
// keeper before the first fork. A worker runs the tenant's code and may write anything here; all that it
// can reach by that is its own sandbox's number of workers.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/message_socket.h"
#include "base/result.h"
#include "protocols/handoff/handoff.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {

struct PoolControl {
  std::atomic<std::uint32_t> draining;  // 1: no worker accepts any more
  std::atomic<std::uint32_t>
      growth_wanted;  // 1: tell the keeper (eventfd) when the last free worker is taken
  std::atomic<std::uint32_t> workers_max;
  std::atomic<std::uint32_t> alarm_raised;  // the handoff::Page::alarm that has been answered
  std::atomic<std::uint32_t> handed_seen;   // the handoff::Page::handed that was looked after
  std::atomic<std::uint32_t> idle_gaps;     // counts requests before which their worker had waited for one
  std::atomic<std::uint32_t> requests_per_worker;           // 0: without end
  std::atomic<std::uint8_t> quit[scoreboard::kMaxWorkers];  // 1: that worker ends before its next accept
  // The start (Slot::since_ns) of the request that is to stop, or to tell where it is (vm_interrupt.h).
  std::atomic<std::uint64_t> late[scoreboard::kMaxWorkers];
  std::atomic<std::uint64_t> slow[scoreboard::kMaxWorkers];

  // Tells the gateway, if it wants to be told, that no place is free (handoff::Full).
  void raise_alarm(const handoff::Page &page, const MessageSocket &gateway);

  // Zeroed, MAP_SHARED; lives as long as the process.
  [[nodiscard]] static Result<PoolControl *> create();
};

}  // namespace paddock::php_worker
