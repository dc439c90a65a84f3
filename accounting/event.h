// Something that befell a tenant, or that was done to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "accounting/counters.h"

namespace paddock::accounting {

enum class EventKind : std::uint8_t {
  kStart,        // of a sandbox
  kStop,         // idle, or asked to
  kCrash,        // of a worker or keeper
  kOomKill,      // memory.events: oom_kill
  kLimitCpu,     // CPUf: throttled by the cpu quota
  kLimitMemory,  // PMEMf: memory.high or memory.max reached
  kLimitPids,    // NPROCf: a fork refused
  kLimitIo,      // IOf
  kQueueFull,    // a request refused since the queue was full
  kDeadline,     // a request past its deadline
  kBlock,        // the kill-switch, and the other verbs of the admin
  kUnblock,
  kKill,
  kFreeze,
  kThaw,
  kThrottle,  // moved to another plan for a time
  kUnthrottle,
  kLogin,        // into the dashboard
  kLoginFailed,  // a token that is nobody's
  kMailRefused,  // a message: past the hour's limit, too long, or no mail at all
  kLink,         // a tenant's way into the dashboard was made
  kRuleFired,
  kCorruptHistory,  // history.db was damaged and has been moved aside
  kEventsLost,      // how many events found no room, neither on disk nor in memory
};

// "oom-kill", "limit-cpu": as it is stored and shown.
[[nodiscard]] std::string_view to_string(EventKind kind);
[[nodiscard]] std::optional<EventKind> event_kind(std::string_view name);

// Whether an event of the kind is on disk before append() returns. The others (starts, stops) follow within
// EventLog's flush.
[[nodiscard]] bool is_durable(EventKind kind);
// Whether a tenant's code can bring it about, again and again: such are bounded in number.
[[nodiscard]] bool is_caused_by_tenant(EventKind kind);

struct Event {
  static constexpr std::size_t kMaxTenant = 256;  // bytes; longer texts are cut
  static constexpr std::size_t kMaxActor = 256;
  static constexpr std::size_t kMaxText = 1024;
  static constexpr std::size_t kMaxSnapshot = std::size_t{128} * 1024;

  std::uint64_t id = 0;  // given when it is written; grows, is never given twice
  Time time;
  std::string tenant;  // empty: of the whole host
  EventKind kind = EventKind::kStart;
  std::string actor;     // who did it: "kernel", "uid 1000", "rule:NAME"; empty: the supervisor
  std::string text;      // for people; may hold what a tenant chose, unescaped
  std::string snapshot;  // JSON (Snapshot::to_json(), Firing::to_json()), or empty; one that is too long is
                         // left out, since half of it would be no JSON

  bool operator==(const Event &) const = default;
};

}  // namespace paddock::accounting
