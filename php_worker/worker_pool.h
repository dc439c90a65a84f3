// The keeper's workers as processes: forked, counted, told to end, reaped.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "php_worker/pool_control.h"
#include "protocols/scoreboard/scoreboard.h"
#include "protocols/zygote_link/zygote_link.h"
#include "sandbox/sandbox.h"

namespace paddock::php_worker {

class WorkerPool {
 public:
  using Clock = std::chrono::steady_clock;

  struct Setup {
    std::string name;
    BorrowedFd listen;
    BorrowedFd growth;
    BorrowedFd handoff;
    const handoff::Page *page = nullptr;
    scoreboard::Board *board = nullptr;
    PoolControl *control = nullptr;
    std::vector<int> php_fds;
    zygote_link::Program program;
    zygote_link::AccessLog access;
    BorrowedFd access_log;                    // a pipe; invalid: none
    const sandbox::ViewGate *gate = nullptr;  // as KeeperOptions'
    std::function<std::vector<std::string>()> settle;
  };

  struct Started {
    int pid = 0;
    UniqueFd errors;  // the reading end of the worker's standard output and error
  };

  struct Ended {
    int pid = 0;
    ExitStatus status;
    bool worker = false;    // else an orphan, or a child that somebody else has started: only the above holds
    bool expected = false;  // told to end, or its number of requests served
    bool in_request = false;
    Clock::duration lived{};
  };

  explicit WorkerPool(Setup setup) : setup_(std::move(setup)), workers_(scoreboard::kMaxWorkers) {}

  // Before the first start().
  void use_access_log(BorrowedFd pipe) { setup_.access_log = pipe; }

  // The view is there, and what is forked from now on is settled.
  void settled() { settled_ = true; }

  // fork(2). The child closes everything but what a worker needs and never returns.
  [[nodiscard]] Result<Started> start();

  // Those that serve and have not been told to end.
  [[nodiscard]] std::uint32_t serving() const { return serving_; }
  [[nodiscard]] bool empty() const { return alive_ == 0; }
  // As the scoreboard says, which the tenant can make say anything.
  [[nodiscard]] std::uint32_t busy() const { return setup_.board->busy.load(std::memory_order_relaxed); }

  // Tells one idle worker to end. False: none is idle.
  bool retire_one();
  // Wakes (SIGQUIT) the idle ones among those that were told to end or, while the pool drains, all. To be
  // repeated: a signal between a worker's look at the flag and its accept4(2) does nothing. A worker in a
  // request gets no signal: it would cut short the script's sleep or read.
  void wake_ending() const;
  // Ends the wait in accept4(2) of one idle worker. False: none is idle.
  bool wake_one_idle() const;
  void kill_all() const;
  // Nobody calls that a death.
  void kill_late(std::uint32_t slot);
  // Null: none runs there.
  [[nodiscard]] const Child *worker(std::uint32_t slot) const {
    return workers_[slot].child.valid() ? &workers_[slot].child : nullptr;
  }
  [[nodiscard]] bool somebody_is_ending() const { return alive_ > serving_; }

  // The next child that has ended, whosever it is (waitid(2)); nullopt: there is none.
  std::optional<Ended> reap();

 private:
  struct Worker {
    Child child;
    Clock::time_point started;
    bool ending = false;
    bool late = false;
  };

  [[noreturn]] void become_worker(std::uint32_t slot, int errors) const;
  void count(std::uint32_t serving);

  Setup setup_;
  bool settled_ = false;
  std::vector<Worker> workers_;  // by slot
  std::uint32_t serving_ = 0;
  std::uint32_t alive_ = 0;
};

}  // namespace paddock::php_worker
