// An abuse rule: what, over which time, is too much, and what then happens. The config is read into it
// (policies/rule_section.h), accounting/rule_evaluator.h finds when it comes true.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace paddock::rules {

// A tenant's figure over the rule's window. Time without a sandbox counts as 0.
enum class Metric : std::uint8_t {
  kCpuPercent,         // average, of one core: 150 is one and a half
  kMemoryBytes,        // average
  kThrottledPercent,   // share of the quota's periods (kCpuPeriod) in which it ran out
  kPids,               // average
  kRequestsPerSecond,  // average, executed and refused
  kEgressBytes,        // sum, on the tenant's network
  kOomKills,           // count
  kLateRequests,       // count
};
// "cpu_percent", "oom_kills"
[[nodiscard]] std::string_view to_string(Metric metric);
[[nodiscard]] std::optional<Metric> metric(std::string_view name);

// cpu.max's second figure as Paddock sets it: the kernel's default (cgroup-v2.rst, "cpu.max").
inline constexpr std::chrono::milliseconds kCpuPeriod{100};

enum class Comparison : std::uint8_t { kAbove, kAtLeast, kBelow, kAtMost };
[[nodiscard]] std::string_view to_string(Comparison comparison);  // ">", ">=", "<", "<="

struct Condition;
// "cpu_percent > 80"
[[nodiscard]] std::string to_string(const Condition &condition);

struct Condition {
  Metric metric = Metric::kCpuPercent;
  Comparison comparison = Comparison::kAbove;
  double threshold = 0;
  std::chrono::seconds window{300};
};

enum class Consequence : std::uint8_t { kNotify, kThrottle, kFreeze, kKill, kBlock };
[[nodiscard]] std::string_view to_string(Consequence consequence);
// In the order of their enumerators.
[[nodiscard]] std::vector<std::string> metric_names();
[[nodiscard]] std::vector<std::string> consequence_names();
// Whether the metric is in bytes: "64M" is a threshold of it.
[[nodiscard]] bool is_bytes(Metric metric);

struct Action {
  Consequence consequence = Consequence::kNotify;
  // Whom to tell; kNotify needs one of the two.
  std::vector<std::string> command;  // a program and its arguments
  std::string webhook;               // a URL
  std::string plan;                  // kThrottle: the one that holds meanwhile
  std::chrono::seconds duration{0};  // kThrottle, kFreeze, kBlock; 0: until the admin ends it
};

struct Rule {
  std::string name;
  Condition condition;
  // After a firing for a tenant, the next one for that tenant comes so much later at the earliest.
  std::chrono::seconds cooldown{600};
  Action action;
  bool dry_run = false;              // fires and is logged, nothing is done
  std::vector<std::string> tenants;  // whom it is for; none: all
  std::vector<std::string> exempt;

  [[nodiscard]] bool applies_to(std::string_view tenant) const;
};

inline constexpr std::chrono::seconds kLongestWindow = std::chrono::days(1);

// A metric's value as people write it.
[[nodiscard]] std::string figure_text(double value);

// Whether the rule makes sense on a machine with so many CPUs: an error for one without a name, that can
// never fire or always would, that has no window or too long a one, or whose action lacks what it needs. The
// text names the member, a colon and what was expected.
Result<void> validate(const Rule &rule, unsigned cpus);

}  // namespace paddock::rules
