#include "rules/rule.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

namespace paddock::rules {
namespace {

constexpr std::string_view kMetrics[] = {"cpu_percent", "memory_bytes",        "throttled_percent",
                                         "pids",        "requests_per_second", "egress_bytes",
                                         "oom_kills",   "late_requests"};
static_assert(std::size(kMetrics) == static_cast<std::size_t>(Metric::kLateRequests) + 1);

constexpr std::string_view kComparisons[] = {">", ">=", "<", "<="};
constexpr std::string_view kConsequences[] = {"notify", "throttle", "freeze", "kill", "block"};

bool contains(const std::vector<std::string> &names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The largest value that the metric can have; nullopt: no bound that is worth a check.
std::optional<double> ceiling(Metric metric, unsigned cpus) {
  if (metric == Metric::kCpuPercent) return 100.0 * cpus;
  if (metric == Metric::kThrottledPercent) return 100.0;
  return std::nullopt;
}

Result<void> validate_condition(const Condition &condition, unsigned cpus) {
  const std::string what(to_string(condition.metric));
  if (!std::isfinite(condition.threshold) || condition.threshold < 0)
    return Error{"threshold: not a number from 0 on"};
  if (condition.window <= std::chrono::seconds(0) || condition.window > kLongestWindow)
    return Error{"window: " + std::to_string(condition.window.count()) + " s, where 1 s to " +
                 std::to_string(kLongestWindow.count()) + " s were expected"};
  if (condition.comparison == Comparison::kBelow && condition.threshold == 0)
    return Error{"threshold: can never fire: " + what + " is never below 0"};
  if (condition.comparison == Comparison::kAtLeast && condition.threshold == 0)
    return Error{"threshold: would always fire: " + what + " is always at least 0"};
  const auto highest = ceiling(condition.metric, cpus);
  if (!highest) return {};
  if (condition.comparison == Comparison::kAbove && condition.threshold >= *highest)
    return Error{"threshold: can never fire: " + what + " is never above " + figure_text(*highest)};
  if (condition.comparison == Comparison::kAtLeast && condition.threshold > *highest)
    return Error{"threshold: can never fire: " + what + " is at most " + figure_text(*highest)};
  if ((condition.comparison == Comparison::kBelow && condition.threshold > *highest) ||
      (condition.comparison == Comparison::kAtMost && condition.threshold >= *highest))
    return Error{"threshold: would always fire: " + what + " is at most " + figure_text(*highest)};
  return {};
}

Result<void> validate_action(const Action &action) {
  if (action.duration < std::chrono::seconds(0)) return Error{"duration: negative"};
  if (!action.command.empty() && (action.command.front().empty() || action.command.front().front() != '/'))
    return Error{"command: an absolute path was expected"};
  if (!action.webhook.empty() && !action.webhook.starts_with("http://") &&
      !action.webhook.starts_with("https://"))
    return Error{"webhook: an http:// or https:// URL was expected"};
  switch (action.consequence) {
    case Consequence::kNotify:
      if (action.command.empty() && action.webhook.empty())
        return Error{"action: notify, and neither command nor webhook"};
      return {};
    case Consequence::kThrottle:
      if (action.plan.empty()) return Error{"plan: missing, for the action throttle"};
      return {};
    case Consequence::kFreeze:
    case Consequence::kKill:
    case Consequence::kBlock:
      return {};
  }
  return {};
}

}  // namespace

std::string figure_text(double value) {
  char text[64];
  // Byte counts whole, percentages with a tenth.
  std::snprintf(text, sizeof text, std::abs(value) >= 1e6 || value == std::floor(value) ? "%.0f" : "%.1f",
                value);
  return text;
}

std::string_view to_string(Metric metric) {
  return kMetrics[static_cast<std::size_t>(metric)];
}

std::optional<Metric> metric(std::string_view name) {
  const auto *const found = std::find(std::begin(kMetrics), std::end(kMetrics), name);
  if (found == std::end(kMetrics)) return std::nullopt;
  return static_cast<Metric>(found - std::begin(kMetrics));
}

std::string_view to_string(Comparison comparison) {
  return kComparisons[static_cast<std::size_t>(comparison)];
}

std::string_view to_string(Consequence consequence) {
  return kConsequences[static_cast<std::size_t>(consequence)];
}

std::vector<std::string> metric_names() {
  return {std::begin(kMetrics), std::end(kMetrics)};
}

std::vector<std::string> consequence_names() {
  return {std::begin(kConsequences), std::end(kConsequences)};
}

bool is_bytes(Metric metric) {
  return metric == Metric::kMemoryBytes || metric == Metric::kEgressBytes;
}

bool Rule::applies_to(std::string_view tenant) const {
  return (tenants.empty() || contains(tenants, tenant)) && !contains(exempt, tenant);
}

Result<void> validate(const Rule &rule, unsigned cpus) {
  if (rule.name.empty()) return Error{"name: missing"};
  if (rule.cooldown < std::chrono::seconds(1))
    return Error{"cooldown: 1 s at least, or it would fire with every sample"};
  if (!rule.tenants.empty() && std::all_of(rule.tenants.begin(), rule.tenants.end(),
                                           [&rule](const auto &name) { return contains(rule.exempt, name); }))
    return Error{"exempt: can never fire: everybody that it is for is exempt"};
  PADDOCK_CHECK(validate_condition(rule.condition, cpus));
  return validate_action(rule.action);
}

std::string to_string(const Condition &condition) {
  return std::string(to_string(condition.metric)) + " " + std::string(to_string(condition.comparison)) + " " +
         figure_text(condition.threshold);
}

}  // namespace paddock::rules
