#include "cli/rules.h"

#include <algorithm>
#include <ctime>
#include <ostream>

#include "accounting/rule_evaluator.h"
#include "cli/text.h"
#include "policies/units.h"

namespace paddock::cli {
namespace {

using accounting::Firing;
using accounting::Time;

std::string action_of(const rules::Action &action) {
  std::string text(to_string(action.consequence));
  if (!action.plan.empty()) text += " to " + action.plan;
  if (action.duration.count() > 0) text += " for " + policies::format_duration(action.duration);
  return text;
}

ExitStatus list(const Session &session, const policies::Config &config) {
  if (session.json) {
    control::Rules answer;
    for (const auto &[name, entry] : config.rules)
      answer.rules.push_back({name, to_string(entry.rule.condition), entry.rule.condition.window.count(),
                              std::string(to_string(entry.rule.action.consequence)), entry.rule.action.plan,
                              entry.rule.action.duration.count(), entry.rule.dry_run});
    session.out << to_json(answer) << '\n';
    return ExitStatus::kOk;
  }
  std::vector<std::vector<std::string>> rows = {{"RULE", "WINDOW", "DRY-RUN", "ACTION", "CONDITION"}};
  for (const auto &[name, entry] : config.rules)
    rows.push_back({printable(name), policies::format_duration(entry.rule.condition.window),
                    entry.rule.dry_run ? "yes" : "no", action_of(entry.rule.action),
                    to_string(entry.rule.condition)});
  session.out << table(rows);
  return ExitStatus::kOk;
}

Result<std::vector<Firing>> fired(const policies::Config &config, Time since, accounting::Resolution by) {
  std::vector<rules::Rule> all;
  for (const auto &[name, entry] : config.rules) all.push_back(entry.rule);
  PADDOCK_TRY(accounting::Database database,
              accounting::Database::open(config.runtime.state_dir + "/history.db",
                                         accounting::Database::Access::kReadOnly, std::chrono::seconds(5)));
  const Time now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  return accounting::replay(database, std::move(all), since, now, by);
}

ExitStatus replay(const Session &session, const policies::Config &config, const RulesOptions &options) {
  const auto since = parse_past(options.since, std::time(nullptr));
  if (!since) return session.fail(ExitStatus::kUsage, "--since: " + std::string(kPastExpected));
  const auto step = std::find(control::kSteps.begin(), control::kSteps.end(), options.step);
  const auto firings = fired(config, Time(std::chrono::seconds(*since)),
                             static_cast<accounting::Resolution>(step - control::kSteps.begin()));
  if (!firings)
    return session.fail(firings.error().code == EACCES ? ExitStatus::kNotPermitted : ExitStatus::kFailed,
                        firings.error().message());
  control::Replay answer;
  for (const Firing &firing : *firings)
    answer.firings.push_back({firing.time.time_since_epoch().count(), firing.rule, firing.tenant,
                              std::string(to_string(firing.action.consequence)), firing.dry_run,
                              firing.text()});
  if (session.json) {
    session.out << to_json(answer) << '\n';
    return ExitStatus::kOk;
  }
  std::vector<std::vector<std::string>> rows = {{"TIME", "TENANT", "RULE", "ACTION", "BECAUSE"}};
  for (const auto &firing : answer.firings)
    rows.push_back({time_text(firing.time_ms / 1000), printable(firing.tenant), printable(firing.rule),
                    printable(firing.action), printable(firing.text)});
  session.out << table(rows);
  return ExitStatus::kOk;
}

}  // namespace

ExitStatus rules(const Session &session, const RulesOptions &options) {
  const auto config = load(session);
  if (!config) return ExitStatus::kUsage;
  return options.what == "replay" ? replay(session, *config, options) : list(session, *config);
}

}  // namespace paddock::cli
