// Finds the rules that come true in a stream of samples: live ones of each second, or recorded ones of each
// minute.
//
// Pure: time comes with the samples. Keeps 60 numbers a rule and tenant, whatever the window.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "accounting/counters.h"
#include "accounting/database.h"
#include "accounting/history_query.h"
#include "rules/rule.h"

namespace paddock::accounting {

using rules::Action;
using rules::Comparison;
using rules::Condition;
using rules::Consequence;
using rules::Metric;
using rules::Rule;

// That a rule's condition came true for a tenant.
struct Firing {
  std::string rule;
  std::string tenant;
  Time time;
  Condition condition;
  double figure = 0;  // what the metric was
  Action action;
  bool dry_run = false;

  // "cpu_percent 97.3 > 80 over 300 s"
  [[nodiscard]] std::string text() const;
  // The figures for an event's snapshot.
  [[nodiscard]] std::string to_json() const;
};

// A metric over a sliding window. A window is cut into 60 slices, of a second at the least: the sums reach up
// to one slice too far back, the averages weigh that slice.
class MetricWindow {
 public:
  explicit MetricWindow(const Condition &condition);

  // What was used in the `length` up to `end`. Averages spread it over that time; counts fall on its end.
  void add(Time end, std::chrono::milliseconds length, const Usage &usage);
  // The metric over the window up to `now`.
  [[nodiscard]] double figure(Time now) const;
  // Whether samples have come in all through the window up to now.
  [[nodiscard]] bool is_full(Time now) const;

 private:
  static constexpr std::int64_t kSlices = 60;

  void advance(std::int64_t slice);
  double &at(std::int64_t slice) { return amounts_[static_cast<std::size_t>(slice) % amounts_.size()]; }
  [[nodiscard]] double at(std::int64_t slice) const {
    return amounts_[static_cast<std::size_t>(slice) % amounts_.size()];
  }

  Metric metric_;
  std::int64_t window_ms_;
  std::int64_t slice_ms_;
  std::vector<double> amounts_;  // of the newest slice and those before
  std::int64_t newest_ = -1;     // slice number: time / slice_ms_
  Time covered_from_{};          // samples follow on each other from here
  Time covered_to_{};
};

class RuleEvaluator {
 public:
  RuleEvaluator() = default;
  explicit RuleEvaluator(std::vector<Rule> rules) : rules_(std::move(rules)) {}

  // Replaces the rules. Those whose name and condition stay the same keep their windows and cooldowns.
  void set_rules(std::vector<Rule> rules);
  [[nodiscard]] const std::vector<Rule> &rules() const { return rules_; }

  // What a tenant used in the `length` up to `end`; the rules that fire by it. Samples of one tenant come in
  // the order of their time. When time goes back (the clock was set), windows begin anew: use must not pile
  // up on one moment.
  [[nodiscard]] std::vector<Firing> observe(const std::string &tenant, Time end,
                                            std::chrono::milliseconds length, const Usage &usage);

  // That a rule fired, as the event log says it, before this evaluator was: its cooldown holds.
  void restore(const std::string &rule, const std::string &tenant, Time fired);
  // Drops what is kept of tenants that have had no sample for longer than every window and cooldown. For a
  // timer of some minutes.
  void expire(Time now);
  [[nodiscard]] std::size_t tenants() const { return tenants_.size(); }

 private:
  struct Track {
    MetricWindow window;
    std::optional<Time> fired;
    bool applies;
  };
  struct Tenant {
    std::vector<Track> tracks;  // as rules_
    Time last;
  };

  Tenant &tenant(const std::string &name);

  std::vector<Rule> rules_;
  std::unordered_map<std::string, Tenant> tenants_;
};

// What the rules would have done in [since, until), by the samples of that resolution in history.db. A window
// that is shorter than a sample sees that sample's average: peaks within are not found.
[[nodiscard]] Result<std::vector<Firing>> replay(Database &database, std::vector<Rule> rules, Time since,
                                                 Time until, Resolution resolution);

}  // namespace paddock::accounting
