#include "fcgi_gateway/connection_queue.h"

#include <poll.h>

namespace paddock::fcgi_gateway {

ConnectionQueue::~ConnectionQueue() {
  loop_.cancel(timer_);
  while (!empty()) [[maybe_unused]] const UniqueFd closed = pop_front();
}

void ConnectionQueue::set_patience(Clock::duration patience) {
  patience_ = patience;
  loop_.cancel(timer_);
  timer_ = 0;
  expect_overdue();
}

void ConnectionQueue::push(UniqueFd connection) {
  const BorrowedFd fd = connection;
  waiting_.push_back({std::move(connection), Clock::now()});
  const auto at = std::prev(waiting_.end());
  // No event is asked for, which leaves EPOLLHUP: both directions are closed. A peer that has only closed its
  // writing side (EPOLLRDHUP) may still read. Without the watch a client that hangs up is served in vain.
  [[maybe_unused]] const auto watched = loop_.watch(fd, 0, [this, at](std::uint32_t) {
    // The event may be that of another connection, closed a moment ago, that had the same number.
    pollfd entry{at->connection.get(), 0, 0};
    if (::poll(&entry, 1, 0) > 0) [[maybe_unused]]
      const UniqueFd closed = take(at);
  });
  expect_overdue();
}

UniqueFd ConnectionQueue::take(List::iterator at) {
  UniqueFd connection = std::move(at->connection);
  loop_.unwatch(connection);
  waiting_.erase(at);
  return connection;
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
