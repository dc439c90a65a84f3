// A worker: accepts on the tenant's socket and answers, by PHP or by what the tenant's kind says, one request
// after the other.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "php_worker/pool_control.h"
#include "protocols/handoff/handoff.h"
#include "protocols/scoreboard/scoreboard.h"
#include "protocols/zygote_link/zygote_link.h"

namespace paddock::php_worker {

struct WorkerContext {
  std::string pool_name;
  std::uint32_t slot = 0;
  BorrowedFd listen;
  BorrowedFd growth;   // eventfd
  BorrowedFd handoff;  // socket to the gateway (handoff.h)
  const handoff::Page *page = nullptr;
  scoreboard::Board *board = nullptr;
  PoolControl *control = nullptr;
  const zygote_link::Program *program = nullptr;  // what answers
  const zygote_link::AccessLog *access = nullptr;
  BorrowedFd access_log;  // a pipe; invalid: none
};

// Until it is told to end, or has served its number of requests: returns the exit status, 0. Expects standard
// output and error to be the pipe to the keeper, and all descriptors but those of the context and PHP's own
// to be closed.
int run_worker(const WorkerContext &context);

}  // namespace paddock::php_worker
