// The keeper's clock for running requests: who is slow, who is late.
//
// A slow request's worker is asked for a backtrace. A late one's is asked to stop, as PHP's own time limit
// would stop it; kCutAfter the deadline its connection is shut down, so that the web server's thread is free
// whoever holds the other end; kKillAfter the deadline the worker is killed.
//
// Goes by the scoreboard, which the tenant's code could falsify if it runs machine code of its own; what it
// then holds back is found by the age of the connections themselves, which are looked through once a
// deadline. No request pays for any of this: the keeper looks when the next one can be due, and not before.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "base/event_loop.h"
#include "php_worker/log_relay.h"
#include "php_worker/worker_pool.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {

class RequestWatch {
 public:
  using Duration = std::chrono::nanoseconds;
  static constexpr std::chrono::milliseconds kCutAfter{600};
  static constexpr std::chrono::milliseconds kKillAfter{2'000};

  struct Limits {
    std::chrono::milliseconds deadline{0};  // 0: none
    std::chrono::milliseconds slow{0};      // 0: never
  };

  RequestWatch(EventLoop &loop, BorrowedFd listen, scoreboard::Board &board, PoolControl &control,
               WorkerPool &pool, LogRelay &relay, Limits limits);

  void start();
  // A worker died in a request: nobody else is to hold its connection. Shuts down what no worker holds.
  void end_orphaned_connections();

 private:
  enum class Stage : std::uint8_t { kRunning, kAsked, kCut, kKilled };
  struct Watched {
    std::uint64_t told = 0;   // the start, as the scoreboard has it
    std::uint64_t start = 0;  // the start that counts
    Stage stage = Stage::kRunning;
    bool slow = false;
  };

  void look();
  // When it has to be looked at again.
  std::uint64_t look_at(std::uint32_t slot, std::uint64_t now);
  std::uint64_t mind_slowness(std::uint32_t slot, std::uint64_t now);
  std::uint64_t mind_deadline(std::uint32_t slot, std::uint64_t now);
  void cut(pid_t worker);
  void end_old_connections(std::uint64_t now);
  void end_opaque(const std::vector<pid_t> &processes);
  void note(std::uint32_t slot, const char *what);
  [[nodiscard]] std::set<pid_t> workers() const;

  EventLoop &loop_;
  BorrowedFd listen_;
  scoreboard::Board &board_;
  PoolControl &control_;
  WorkerPool &pool_;
  LogRelay &relay_;
  std::uint64_t deadline_;  // nanoseconds
  std::uint64_t slow_;
  std::array<Watched, scoreboard::kMaxWorkers> watched_{};
  std::map<std::uint64_t, std::uint64_t> first_seen_;  // connections by inode
  std::uint64_t next_sweep_ = 0;
};

}  // namespace paddock::php_worker
