#include "policies/rule_section.h"

#include <array>

#include "base/log.h"

namespace paddock::policies {
namespace {

using rules::Comparison;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr unsigned kManyCpus = 1U << 16;  // where the machine does not say
constexpr auto kLongest = std::chrono::days(365);

constexpr std::array<std::pair<const char *, Comparison>, 4> kComparisons = {{
    {"above", Comparison::kAbove},
    {"at_least", Comparison::kAtLeast},
    {"below", Comparison::kBelow},
    {"at_most", Comparison::kAtMost},
}};

void read_seconds(Section &section, std::string_view key, seconds &to) {
  if (const auto duration = section.duration(key, milliseconds(0), kLongest))
    to = std::chrono::duration_cast<seconds>(*duration);
}

// Exactly one of above, at_least, below, at_most.
void read_threshold(Section &section, rules::Condition &condition) {
  const char *first = nullptr;
  for (const auto &[key, comparison] : kComparisons) {
    const auto figure = section.figure(key, rules::is_bytes(condition.metric));
    if (section.find(key) == nullptr) continue;
    if (first != nullptr) section.fail(key, std::string("beside ") + first + ": a rule has one threshold");
    first = key;
    condition.comparison = comparison;
    if (figure) condition.threshold = *figure;
  }
  if (first == nullptr) section.fail("above", "missing", "one of above, at_least, below, at_most");
}

std::vector<std::string> read_tenants(Section &section, std::string_view key, const Config &config) {
  std::vector<std::string> names;
  const auto texts = section.texts(key);
  if (!texts) return names;
  for (const auto &[name, where] : *texts) {
    if (!config.tenants.contains(name)) {
      std::vector<std::string> known;
      for (const auto &[tenant, settings] : config.tenants) known.push_back(tenant);
      section.fail_at(where, key, "there is no tenant " + log::quoted(name, 64), {}, {},
                      nearest_of(name, known));
    }
    names.push_back(name);
  }
  return names;
}

void read_action(Section &section, const Config &config, const Machine &machine, rules::Action &action) {
  if (const auto consequence = section.choice("action", rules::consequence_names()))
    action.consequence = static_cast<rules::Consequence>(*consequence);
  else if (section.find("action") == nullptr)
    section.fail("action", "missing", "what is to be done");
  if (const auto command = section.texts("command"))
    for (const auto &[word, where] : *command) action.command.push_back(word);
  if (!action.command.empty() && !machine.exists(action.command.front()))
    section.warn("command", "there is no " + log::quoted(action.command.front()));
  action.webhook = section.text("webhook").value_or("");
  if (!action.webhook.empty() && !machine.exists(kWebhookProgram))
    section.warn("webhook", std::string("needs ") + kWebhookProgram + ", which is not there");
  action.plan = section.text("plan").value_or("");
  if (!action.plan.empty() && !config.plans.contains(action.plan)) {
    std::vector<std::string> known;
    for (const auto &[plan, settings] : config.plans) known.push_back(plan);
    section.fail("plan", "there is no plan " + log::quoted(action.plan, 64), "the name of a plan", {},
                 nearest_of(action.plan, known));
  }
  read_seconds(section, "duration", action.duration);
}

// What each key allows alone, but the rule does not: by the member that the error's text begins with.
std::string key_of(const std::string &message, const Section &section) {
  const std::string member = message.substr(0, message.find(':'));
  if (member != "threshold") return member;
  for (const auto &[key, comparison] : kComparisons)
    if (section.find(key) != nullptr) return key;
  return "above";
}

// The most of a metric that the plan's limits let the kernel count; none: they say nothing of it.
std::optional<double> most_of(rules::Metric metric, const Limits &limits) {
  switch (metric) {
    case rules::Metric::kCpuPercent:
      return limits.cpu_percent;
    case rules::Metric::kMemoryBytes:
      return limits.memory_max;
    case rules::Metric::kPids:
      return limits.pids_max;
    case rules::Metric::kThrottledPercent:
      return limits.cpu_percent ? std::nullopt : std::optional(0.0);
    default:
      return std::nullopt;
  }
}

bool can_exceed(const rules::Condition &condition, const Limits &limits) {
  const auto most = most_of(condition.metric, limits);
  if (!most) return true;
  return condition.comparison == Comparison::kAbove ? *most > condition.threshold
                                                    : *most >= condition.threshold;
}

// No error: it may be meant for a tenant, or for a plan's next version, that is not there yet.
void warn_of_the_unreachable(Section &section, const rules::Rule &rule, const Config &config) {
  const rules::Condition &condition = rule.condition;
  if (condition.comparison != Comparison::kAbove && condition.comparison != Comparison::kAtLeast) return;
  bool anybody = false;
  for (const auto &[name, tenant] : config.tenants) {
    const auto plan = config.plans.find(tenant->plan);
    if (!rule.applies_to(name) || plan == config.plans.end()) continue;
    if (can_exceed(condition, plan->second.limits)) return;
    anybody = true;
  }
  if (anybody)
    section.warn(condition.comparison == Comparison::kAbove ? "above" : "at_least",
                 "never fires: the plans of all tenants that the rule is for keep " +
                     std::string(rules::to_string(condition.metric)) + " below it");
}

}  // namespace

void read_rule(Section &section, const std::string &name, const Machine &machine, Config &config) {
  const std::size_t before = section.complaints();
  RuleEntry entry;
  entry.where = section.location();
  rules::Rule &rule = entry.rule;
  rule.name = name;
  if (const auto metric = section.choice("metric", rules::metric_names()))
    rule.condition.metric = static_cast<rules::Metric>(*metric);
  else if (section.find("metric") == nullptr)
    section.fail("metric", "missing", "what is to be looked at");
  read_threshold(section, rule.condition);
  read_seconds(section, "window", rule.condition.window);
  read_seconds(section, "cooldown", rule.cooldown);
  read_action(section, config, machine, rule.action);
  if (const auto dry_run = section.boolean("dry_run")) rule.dry_run = *dry_run;
  rule.tenants = read_tenants(section, "tenants", config);
  rule.exempt = read_tenants(section, "exempt", config);
  section.finish();
  if (section.complaints() > before) return;
  if (const auto valid = rules::validate(rule, machine.cpus == 0 ? kManyCpus : machine.cpus); !valid) {
    const std::string message = valid.error().message();
    const std::size_t colon = message.find(": ");
    section.fail(key_of(message, section), colon == std::string::npos ? message : message.substr(colon + 2));
    return;
  }
  warn_of_the_unreachable(section, rule, config);
  config.rules.emplace(name, std::move(entry));
}

}  // namespace paddock::policies
