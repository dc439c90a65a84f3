// Against all tenants together holding every thread of the web server: what each may hold while they hold
// more than they may.
//
// A tenant's own plan bounds what it holds, but the sum over the tenants of a machine is more than any web
// server has. Near the cap the tenants that hold most are cut to a share that is the same for all of them,
// the largest with which the sum fits; who holds less is not touched, and may grow up to it. What is too much
// waits no longer and is refused; what runs goes on. Each worker that is in accept(2) already takes one more.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <unordered_set>

#include "base/event_loop.h"

namespace paddock::fcgi_gateway {

// A tenant that accepts, as the cap sees it.
class CapMember {
 public:
  static constexpr std::uint32_t kNoShare = std::numeric_limits<std::uint32_t>::max();

  // Requests that hold a thread of the web server each: those that run, and those that the gateway holds.
  [[nodiscard]] virtual std::uint32_t held() const = 0;
  // It may hold so many from now on.
  virtual void set_share(std::uint32_t most) = 0;

 protected:
  ~CapMember() = default;
};

// The largest share with which `held`, each cut to it, add up to at most `most`, and at least 1;
// CapMember::kNoShare: they do as they are.
[[nodiscard]] std::uint32_t fair_share(std::span<const std::uint32_t> held, std::uint32_t most);

class MachineCap {
 public:
  explicit MachineCap(EventLoop &loop) : loop_(loop) {}
  ~MachineCap() { loop_.cancel(timer_); }
  MachineCap(const MachineCap &) = delete;
  MachineCap &operator=(const MachineCap &) = delete;

  // Requests of all members together; 0: any number.
  void set_most(std::uint32_t most);
  // Until remove(). A second time is nothing.
  void add(CapMember &member);
  void remove(CapMember &member);

 private:
  void look();
  void look_after(EventLoop::Clock::duration delay);
  void give(std::uint32_t share);

  EventLoop &loop_;
  std::uint32_t most_ = 0;
  std::uint32_t share_ = CapMember::kNoShare;
  std::unordered_set<CapMember *> members_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace paddock::fcgi_gateway
