// What the gateway counts about tenants' requests, until the supervisor has been told.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "protocols/gateway_link/gateway_link.h"

namespace paddock::fcgi_gateway {

class Figures {
 public:
  // Takes a message for the supervisor. False: not now; figures then add up here instead of queueing as
  // messages.
  struct Sink {
    std::function<bool(const gateway_link::Refused &)> refused;
    std::function<bool(const gateway_link::Waiting &)> waiting;
  };
  // Connections that the gateway holds for a tenant, by what they wait for.
  enum class Held : std::uint8_t { kQueued, kSlow, kUnread };

  Figures(EventLoop &loop, std::chrono::milliseconds interval, Sink sink)
      : loop_(loop), interval_(interval), sink_(std::move(sink)) {}
  ~Figures() { loop_.cancel(timer_); }
  Figures(const Figures &) = delete;
  Figures &operator=(const Figures &) = delete;

  // So many requests were refused.
  void refused(std::uint32_t tenant, const std::string &reason, std::uint64_t requests = 1);
  // A connection is held from now on (1), or no more (-1).
  void hold(std::uint32_t tenant, Held what, int change);
  // Connections of the tenant that are held now.
  [[nodiscard]] std::uint32_t held(std::uint32_t tenant) const;
  // A connection has left the queue after so long.
  void waited(std::uint32_t tenant, std::chrono::steady_clock::duration time);
  // Nobody wants to know any more.
  void forget(std::uint32_t tenant) { tenants_.erase(tenant); }
  // Tells what is not told yet, without waiting for the interval to end.
  void report();

 private:
  using Now = std::array<std::uint32_t, 3>;  // by Held
  struct Tenant {
    std::map<std::string, std::uint64_t> refused;  // by reason, not told yet
    Now held{};
    Now told{};
    std::uint64_t queued = 0;  // not told yet, as is their time
    std::uint64_t queue_us = 0;
    std::vector<std::uint64_t> by_time;  // of those queued
  };

  bool report(std::uint32_t number, Tenant &tenant);
  void schedule();

  EventLoop &loop_;
  const std::chrono::milliseconds interval_;
  const Sink sink_;
  std::unordered_map<std::uint32_t, Tenant> tenants_;  // those with anything to tell or held
  EventLoop::TimerId timer_ = 0;
};

}  // namespace paddock::fcgi_gateway
