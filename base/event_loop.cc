#include "base/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

namespace paddock {

Result<EventLoop> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return errno_error("epoll_create1");
  return EventLoop(std::move(epoll));
}

Result<void> EventLoop::watch(BorrowedFd fd, std::uint32_t events, Handler handler) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd.get();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) return errno_error("epoll_ctl(ADD)");
  handlers_[fd.get()] = std::make_shared<Handler>(std::move(handler));
  return {};
}

Result<void> EventLoop::change(BorrowedFd fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd.get();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &event) != 0) return errno_error("epoll_ctl(MOD)");
  return {};
}

void EventLoop::unwatch(BorrowedFd fd) {
  if (handlers_.erase(fd.get()) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
}

EventLoop::TimerId EventLoop::after(Clock::duration delay, std::function<void()> action) {
  const TimerId id = next_timer_++;
  const auto deadline = Clock::now() + delay;
  timers_.emplace(std::pair(deadline, id), std::move(action));
  deadlines_.emplace(id, deadline);
  return id;
}

void EventLoop::cancel(TimerId id) {
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return;
  timers_.erase({found->second, id});
  deadlines_.erase(found);
}

int EventLoop::wait_milliseconds(Clock::duration timeout) const {
  const bool endless = timeout < Clock::duration::zero();
  if (timers_.empty() && endless) return -1;
  auto wait = timeout;
  if (!timers_.empty()) {
    const auto next = std::max(timers_.begin()->first.first - Clock::now(), Clock::duration::zero());
    wait = endless ? next : std::min(wait, next);
  }
  // Rounded up: rounding down would spin through the last millisecond before a timer.
  return static_cast<int>(
      std::min<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(wait).count(), 1'000'000));
}

void EventLoop::run_timers() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    deadlines_.erase(node.key().second);
    node.mapped()();
  }
}

Result<void> EventLoop::run_once(Clock::duration timeout) {
  std::array<epoll_event, 64> events;
  const int ready =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_milliseconds(timeout));
  if (ready < 0 && errno != EINTR) return errno_error("epoll_wait");
  for (int i = 0; i < ready; ++i) {
    const auto &event = events[static_cast<std::size_t>(i)];
    const auto found = handlers_.find(event.data.fd);
    if (found == handlers_.end()) continue;  // removed by a handler of this very round
    const auto handler = found->second;      // keeps the closure alive if it removes itself
    (*handler)(event.events);
  }
  run_timers();
  return {};
}

Result<void> EventLoop::run() {
  stopped_ = false;
  while (!stopped_) PADDOCK_CHECK(run_once(Clock::duration(-1)));
  return {};
}

}  // namespace paddock
