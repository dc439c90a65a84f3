#include "accounting/event.h"

#include <algorithm>
#include <iterator>

#include "rules/event_names.h"

namespace paddock::accounting {
namespace {

struct Kind {
  EventKind kind;
  std::string_view name;
  bool durable;
  bool caused_by_tenant;
};
constexpr Kind kKinds[] = {
    {EventKind::kStart, "start", false, true},
    {EventKind::kStop, "stop", false, true},
    {EventKind::kCrash, "crash", true, true},
    {EventKind::kOomKill, "oom-kill", true, true},
    {EventKind::kLimitCpu, "limit-cpu", true, true},
    {EventKind::kLimitMemory, "limit-memory", true, true},
    {EventKind::kLimitPids, "limit-pids", true, true},
    {EventKind::kLimitIo, "limit-io", true, true},
    {EventKind::kQueueFull, "queue-full", true, true},
    {EventKind::kDeadline, "deadline", true, true},
    {EventKind::kBlock, "block", true, false},
    {EventKind::kUnblock, "unblock", true, false},
    {EventKind::kKill, "kill", true, false},
    {EventKind::kFreeze, "freeze", true, false},
    {EventKind::kThaw, "thaw", true, false},
    {EventKind::kThrottle, "throttle", true, false},
    {EventKind::kUnthrottle, "unthrottle", true, false},
    {EventKind::kLogin, "login", true, false},
    {EventKind::kLoginFailed, "login-failed", true, true},
    {EventKind::kMailRefused, "mail-refused", true, true},
    {EventKind::kLink, "link", true, false},
    {EventKind::kRuleFired, "rule-fired", true, false},
    {EventKind::kCorruptHistory, "corrupt-history", true, false},
    {EventKind::kEventsLost, "events-lost", true, false},
};
static_assert(std::size(kKinds) == static_cast<std::size_t>(EventKind::kEventsLost) + 1);

constexpr bool in_order() {
  for (std::size_t at = 0; at < std::size(kKinds); ++at)
    if (static_cast<std::size_t>(kKinds[at].kind) != at) return false;
  return true;
}
static_assert(in_order());

// The config knows them by the same names.
constexpr bool named_alike() {
  for (std::size_t at = 0; at < std::size(kKinds); ++at)
    if (at >= rules::kEventNames.size() || rules::kEventNames[at] != kKinds[at].name) return false;
  return rules::kEventNames.size() == std::size(kKinds);
}
static_assert(named_alike());

const Kind &row(EventKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

}  // namespace

std::string_view to_string(EventKind kind) {
  return row(kind).name;
}

std::optional<EventKind> event_kind(std::string_view name) {
  const auto *const found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                         [name](const Kind &kind) { return kind.name == name; });
  if (found == std::end(kKinds)) return std::nullopt;
  return found->kind;
}

bool is_durable(EventKind kind) {
  return row(kind).durable;
}

bool is_caused_by_tenant(EventKind kind) {
  return row(kind).caused_by_tenant;
}

}  // namespace paddock::accounting
