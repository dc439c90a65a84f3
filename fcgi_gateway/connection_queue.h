// Accepted connections that wait for a worker: first come, first served, each for a bounded time, and dropped
// when the client hangs up.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>

#include "base/event_loop.h"
#include "fcgi_gateway/figures.h"
#include "fcgi_gateway/waiting_request.h"

namespace paddock::fcgi_gateway {

class ConnectionQueue {
 public:
  using Clock = EventLoop::Clock;
  // Takes a request that has waited its time.
  using Overdue = std::function<void(WaitingRequest request)>;

  // figures count it as the tenant's.
  ConnectionQueue(EventLoop &loop, Figures &figures, std::uint32_t tenant, Overdue overdue)
      : loop_(loop), figures_(figures), tenant_(tenant), overdue_(std::move(overdue)) {}
  ~ConnectionQueue();
  ConnectionQueue(const ConnectionQueue &) = delete;
  ConnectionQueue &operator=(const ConnectionQueue &) = delete;

  // How long a connection may wait. Holds for those that wait already too.
  void set_patience(Clock::duration patience);

  void push(WaitingRequest request);
  // The oldest, or the youngest. Only when not empty.
  [[nodiscard]] WaitingRequest pop_front() { return take(waiting_.begin()); }
  [[nodiscard]] WaitingRequest pop_back() { return take(std::prev(waiting_.end())); }
  [[nodiscard]] WaitingRequest &front() { return waiting_.front().request; }

  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  [[nodiscard]] std::size_t size() const { return waiting_.size(); }
  // How long the oldest has waited; zero when there is none.
  [[nodiscard]] Clock::duration longest_wait() const;

 private:
  struct Waiting {
    WaitingRequest request;
    Clock::time_point since;
  };
  using List = std::list<Waiting>;

  WaitingRequest take(List::iterator at);
  void expect_overdue();

  EventLoop &loop_;
  Figures &figures_;
  const std::uint32_t tenant_;
  Overdue overdue_;
  Clock::duration patience_{};
  List waiting_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace paddock::fcgi_gateway
