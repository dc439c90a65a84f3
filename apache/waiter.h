// The one thread of a child that waits for all descriptors that no other thread waits for.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::apache {

enum class Woken : std::uint8_t { kFirst, kSecond, kTimeout };

class Waiter {
 public:
  using Clock = std::chrono::steady_clock;
  // Called on the waiter's thread, once for each wait(), when nothing of it is left in here. Must not block.
  using Callback = void (*)(void *who, Woken why);

  struct Interest {
    int fd = -1;               // -1: none
    std::uint32_t events = 0;  // epoll(7); EPOLLHUP and EPOLLERR always count
  };

  explicit Waiter(Callback callback) : callback_(callback) {}
  ~Waiter() { stop(); }

  [[nodiscard]] Result<void> start();
  void stop();

  // From any thread. The descriptors stay open until the callback.
  void wait(void *who, Interest first, Interest second, Clock::duration timeout);

 private:
  struct Entry {
    void *who;
    Interest first;
    Interest second;
    Clock::time_point deadline;
  };

  void run();
  int until_next_deadline();
  bool watch(const Interest &interest, std::uint64_t key);
  void wake(std::uint64_t id, Woken why);
  void wake_late();
  void nudge() const;

  Callback callback_;
  UniqueFd epoll_;
  UniqueFd nudge_;
  std::thread thread_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, Entry> entries_;
  std::set<std::pair<Clock::time_point, std::uint64_t>> deadlines_;
};

}  // namespace paddock::apache
