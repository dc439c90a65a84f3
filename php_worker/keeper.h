// The keeper: pid 1 of a sandbox. Starts workers, as many as the load wants, replaces those that end, passes
// on what they write to their standard error, and answers to the supervisor. Runs none of the tenant's code.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/message_socket.h"
#include "base/unique_fd.h"
#include "protocols/zygote_link/zygote_link.h"
#include "sandbox/sandbox.h"

namespace paddock::php_worker {

struct KeeperOptions {
  std::string name;                 // the tenant's
  std::uint16_t workers_start = 1;  // workers that always stand ready
  std::uint16_t workers_max = 4;
  std::uint32_t idle_ms = 0;              // report Idle after so long without a request; 0: never
  std::uint32_t requests_per_worker = 0;  // 0: workers are not replaced
  std::uint32_t deadline_ms = 0;          // of a request; 0: none
  std::uint32_t slow_ms = 0;              // a request that runs so long has its backtrace logged; 0: never
  UniqueFd listen;                        // listening, SOCK_STREAM
  UniqueFd log;                           // O_APPEND
  std::uint64_t log_bytes = 0;            // most that it may hold; 0: any
  UniqueFd access_log;                    // O_APPEND
  zygote_link::AccessLog access;
  std::uint32_t emergency_deaths =
      0;  // so many workers that crash within emergency_ms end the sandbox; 0: none
  std::uint32_t emergency_ms = 0;
  UniqueFd board;                // scoreboard::create_board()
  UniqueFd page;                 // zygote_link::kPage; invalid: there is no gateway
  MessageSocket handoff;         // zygote_link::kHandoff
  MessageSocket link;            // to the supervisor; invalid: nobody to report to
  std::vector<int> php_fds;      // what PHP's modules opened when they started, and need in the workers
  zygote_link::Program program;  // what answers requests
  // Of the sandbox whose view is still being built, beside which the first worker is forked; null: there is
  // none.
  sandbox::ViewGate *gate = nullptr;
  // What PHP is told that can need the view, in the keeper and in a worker forked before. Returns the plan's
  // entries that PHP refuses, for the log.
  std::function<std::vector<std::string>()> settle = [] { return std::vector<std::string>(); };
  std::uint64_t cloned_ns = 0;  // CLOCK_MONOTONIC at the clone; 0: there was none, Ready is not sent
  bool take_signals = false;    // SIGTERM, SIGINT and SIGQUIT drain (where the keeper is not pid 1)
};

// PHP must have been started. Returns the exit status when all workers have ended: after Drain, the end of
// the link, or a signal. No request that was accepted is lost, if it ends within the patience.
int run_keeper(KeeperOptions options);

}  // namespace paddock::php_worker
