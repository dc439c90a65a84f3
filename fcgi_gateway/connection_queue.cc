#include "fcgi_gateway/connection_queue.h"

#include <poll.h>

namespace paddock::fcgi_gateway {

ConnectionQueue::~ConnectionQueue() {
  loop_.cancel(timer_);
  while (!empty()) [[maybe_unused]] const WaitingRequest closed = pop_front();
}

void ConnectionQueue::set_patience(Clock::duration patience) {
  patience_ = patience;
  loop_.cancel(timer_);
  timer_ = 0;
  expect_overdue();
}

void ConnectionQueue::push(WaitingRequest request) {
  const BorrowedFd fd = request.connection;
  waiting_.push_back({std::move(request), Clock::now()});
  figures_.hold(tenant_, Figures::Held::kQueued, 1);
  const auto at = std::prev(waiting_.end());
  // No event is asked for, which leaves EPOLLHUP: both directions are closed. A peer that has only closed its
  // writing side (EPOLLRDHUP) may still read. Without the watch a client that hangs up is served in vain.
  [[maybe_unused]] const auto watched = loop_.watch(fd, 0, [this, at](std::uint32_t) {
    // The event may be that of another connection, closed a moment ago, that had the same number.
    pollfd entry{at->request.connection.get(), 0, 0};
    if (::poll(&entry, 1, 0) > 0) [[maybe_unused]]
      const WaitingRequest closed = take(at);
  });
  expect_overdue();
}

WaitingRequest ConnectionQueue::take(List::iterator at) {
  WaitingRequest request = std::move(at->request);
  loop_.unwatch(request.connection);
  figures_.hold(tenant_, Figures::Held::kQueued, -1);
  figures_.waited(tenant_, Clock::now() - at->since);
  waiting_.erase(at);
  return request;
}

ConnectionQueue::Clock::duration ConnectionQueue::longest_wait() const {
  return empty() ? Clock::duration::zero() : Clock::now() - waiting_.front().since;
}

void ConnectionQueue::expect_overdue() {
  if (timer_ != 0 || empty()) return;
  timer_ = loop_.after(waiting_.front().since + patience_ - Clock::now(), [this] {
    timer_ = 0;
    while (!empty() && longest_wait() >= patience_) overdue_(pop_front());
    expect_overdue();
  });
}

}  // namespace paddock::fcgi_gateway
