// A single-threaded epoll loop for the programs whose every wake-up is ours to account for (gateway, keeper,
// zygote).
//
// Watches are level-triggered. Handlers may add, change and remove watches and timers, their own included.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using Handler = std::function<void(std::uint32_t events)>;
  using TimerId = std::uint64_t;

  [[nodiscard]] static Result<EventLoop> create();

  // Calls handler whenever fd has one of `events` (EPOLLIN, EPOLLOUT, …; EPOLLHUP and EPOLLERR always).
  // fd stays the caller's, who removes the watch before closing it.
  Result<void> watch(BorrowedFd fd, std::uint32_t events, Handler handler);
  // Changes the events of a watched fd; 0 leaves it registered for EPOLLHUP and EPOLLERR only.
  Result<void> change(BorrowedFd fd, std::uint32_t events);
  void unwatch(BorrowedFd fd);

  // Calls action once, `delay` from now. cancel() of one that has run is harmless.
  TimerId after(Clock::duration delay, std::function<void()> action);
  void cancel(TimerId id);

  // Handles what is ready; waits at most `timeout` (negative: without end) for something to be.
  Result<void> run_once(Clock::duration timeout);
  // Until stop().
  Result<void> run();
  void stop() { stopped_ = true; }

 private:
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  int wait_milliseconds(Clock::duration timeout) const;
  void run_timers();

  UniqueFd epoll_;
  std::unordered_map<int, std::shared_ptr<Handler>> handlers_;
  std::map<std::pair<Clock::time_point, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, Clock::time_point> deadlines_;
  TimerId next_timer_ = 1;
  bool stopped_ = false;
};

}  // namespace paddock
