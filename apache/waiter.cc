#include "apache/waiter.h"

#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace paddock::apache {
namespace {

constexpr std::uint64_t kNudge = 0;

}  // namespace

Result<void> Waiter::start() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  nudge_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.valid() || !nudge_.valid()) return errno_error("make an epoll set");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kNudge;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, nudge_.get(), &event) != 0)
    return errno_error("watch an eventfd");
  // Signals are for the MPM's threads.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<void> result;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error &failure) {
    result = errno_error("start a thread", failure.code().value());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

void Waiter::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  nudge();
  thread_.join();
}

void Waiter::nudge() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(nudge_.get(), &one, sizeof one);
}

bool Waiter::watch(const Interest &interest, std::uint64_t key) {
  if (interest.fd < 0) return true;
  epoll_event event{};
  event.events = interest.events | EPOLLONESHOT;
  event.data.u64 = key;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, interest.fd, &event) == 0;
}

void Waiter::wait(void *who, Interest first, Interest second, Clock::duration timeout) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = next_id_++;
  auto deadline = Clock::now() + timeout;
  // What cannot be watched (no memory) is looked at now and then instead of never.
  if (!watch(first, id * 2) || !watch(second, id * 2 + 1))
    deadline = std::min(deadline, Clock::now() + std::chrono::milliseconds(100));
  entries_.emplace(id, Entry{who, first, second, deadline});
  const bool is_next = deadlines_.empty() || deadline < deadlines_.begin()->first;
  deadlines_.emplace(deadline, id);
  if (is_next) nudge();
}

void Waiter::wake(std::uint64_t id, Woken why) {
  void *who = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;  // the other descriptor was reported a moment ago
    const Entry &entry = found->second;
    for (const int fd : {entry.first.fd, entry.second.fd})
      if (fd >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    who = entry.who;
    deadlines_.erase({entry.deadline, id});
    entries_.erase(found);
  }
  callback_(who, why);
}

void Waiter::wake_late() {
  for (;;) {
    std::uint64_t id = 0;
    {
      const std::lock_guard lock(mutex_);
      if (deadlines_.empty() || deadlines_.begin()->first > Clock::now()) return;
      id = deadlines_.begin()->second;
    }
    wake(id, Woken::kTimeout);
  }
}

int Waiter::until_next_deadline() {
  const std::lock_guard lock(mutex_);
  if (deadlines_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadlines_.begin()->first - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void Waiter::run() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int ready =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), until_next_deadline());
    for (int i = 0; i < ready; ++i) {
      const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
      if (key != kNudge) {
        wake(key / 2, key % 2 == 0 ? Woken::kFirst : Woken::kSecond);
        continue;
      }
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(nudge_.get(), &count, sizeof count);
    }
    wake_late();
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
}

}  // namespace paddock::apache
