#include "accounting/rule_evaluator.h"

#include <algorithm>

#include "accounting/snapshot.h"

namespace paddock::accounting {
namespace {

// What a sample adds to the metric's sum: averages in units times milliseconds.
double amount_of(Metric metric, const Usage &usage) {
  const Counters &counters = usage.counters;
  const auto real = [](std::uint64_t value) { return static_cast<double>(value); };
  switch (metric) {
    case Metric::kCpuPercent:  // µs / 1000 ms × 100 %
      return real(usage.cpu_us()) / 10;
    case Metric::kMemoryBytes:
      return real(counters.memory_kib_s) * 1024 * 1000;
    case Metric::kThrottledPercent:
      return real(counters.cpu_throttled_periods) * static_cast<double>(rules::kCpuPeriod.count()) * 100;
    case Metric::kPids:
      return real(counters.pids_s) * 1000;
    case Metric::kRequestsPerSecond:
      return (real(counters.requests) + real(counters.refused)) * 1000;
    case Metric::kEgressBytes:
      return real(counters.net_out_bytes);
    case Metric::kOomKills:
      return real(counters.oom_kills);
    case Metric::kLateRequests:
      return real(counters.late);
  }
  return 0;
}

bool is_average(Metric metric) {
  return metric <= Metric::kRequestsPerSecond;
}
static_assert(Metric::kRequestsPerSecond < Metric::kEgressBytes);

bool holds(Comparison comparison, double figure, double threshold) {
  switch (comparison) {
    case Comparison::kAbove:
      return figure > threshold;
    case Comparison::kAtLeast:
      return figure >= threshold;
    case Comparison::kBelow:
      return figure < threshold;
    case Comparison::kAtMost:
      return figure <= threshold;
  }
  return false;
}

bool wants_low(Comparison comparison) {
  return comparison == Comparison::kBelow || comparison == Comparison::kAtMost;
}

std::int64_t milliseconds_of(Time time) {
  return std::max<std::int64_t>(time.time_since_epoch().count(), 0);
}

}  // namespace

MetricWindow::MetricWindow(const Condition &condition)
    : metric_(condition.metric),
      window_ms_(std::max<std::int64_t>(std::chrono::milliseconds(condition.window).count(), 1000)),
      slice_ms_(std::max<std::int64_t>((window_ms_ + kSlices - 1) / kSlices, 1000)),
      // The slice that now is in, those that fill the window, and the one that its begin cuts.
      amounts_(static_cast<std::size_t>((window_ms_ + slice_ms_ - 1) / slice_ms_) + 1) {}

void MetricWindow::advance(std::int64_t slice) {
  const auto size = static_cast<std::int64_t>(amounts_.size());
  if (newest_ < 0) newest_ = slice - 1;
  for (std::int64_t fresh = std::max(newest_ + 1, slice - size + 1); fresh <= slice; ++fresh) at(fresh) = 0;
  newest_ = std::max(newest_, slice);
}

void MetricWindow::add(Time end, std::chrono::milliseconds length, const Usage &usage) {
  const std::int64_t end_ms = milliseconds_of(end);
  const std::int64_t length_ms = std::max<std::int64_t>(length.count(), 1);
  // The millisecond at `end` belongs to the next sample: a sample that ends with a slice is in that slice.
  const std::int64_t last = std::max<std::int64_t>(end_ms - 1, 0) / slice_ms_;
  advance(last);
  const Time begin = end - std::chrono::milliseconds(length_ms);
  // Timers come late, and the clock is corrected: a gap of less than a sample is none.
  if (begin > covered_to_ + std::chrono::milliseconds(length_ms) || covered_to_ == Time{})
    covered_from_ = begin;
  covered_to_ = std::max(covered_to_, end);

  const double amount = amount_of(metric_, usage);
  if (!is_average(metric_)) {
    at(std::max(last, newest_)) += amount;
    return;
  }
  const std::int64_t begin_ms = end_ms - length_ms;
  const std::int64_t oldest = newest_ - static_cast<std::int64_t>(amounts_.size()) + 1;
  for (std::int64_t slice = std::max({begin_ms / slice_ms_, oldest, std::int64_t{0}}); slice <= last;
       ++slice) {
    const std::int64_t from = std::max(begin_ms, slice * slice_ms_);
    const std::int64_t to = std::min(end_ms, (slice + 1) * slice_ms_);
    at(slice) += amount * static_cast<double>(to - from) / static_cast<double>(length_ms);
  }
}

double MetricWindow::figure(Time now) const {
  const std::int64_t now_ms = milliseconds_of(now);
  const std::int64_t begin_ms = now_ms - window_ms_;
  const std::int64_t oldest =
      std::max<std::int64_t>(newest_ - static_cast<std::int64_t>(amounts_.size()) + 1, 0);
  double sum = 0;
  for (std::int64_t slice = oldest; slice <= newest_; ++slice) {
    const std::int64_t from = slice * slice_ms_;
    if (from + slice_ms_ <= begin_ms || from >= now_ms) continue;
    double share = 1;
    if (is_average(metric_) && from < begin_ms)
      share = static_cast<double>(from + slice_ms_ - begin_ms) / static_cast<double>(slice_ms_);
    sum += at(slice) * share;
  }
  return is_average(metric_) ? sum / static_cast<double>(window_ms_) : sum;
}

bool MetricWindow::is_full(Time now) const {
  return covered_to_ != Time{} && covered_from_ <= now - std::chrono::milliseconds(window_ms_);
}

void RuleEvaluator::set_rules(std::vector<Rule> rules) {
  const auto same = [](const Rule &one, const Rule &other) {
    return one.name == other.name && one.condition.metric == other.condition.metric &&
           one.condition.window == other.condition.window;
  };
  for (auto &[name, state] : tenants_) {
    std::vector<Track> tracks;
    tracks.reserve(rules.size());
    for (const Rule &rule : rules) {
      const auto old =
          std::find_if(rules_.begin(), rules_.end(), [&](const Rule &each) { return same(each, rule); });
      if (old == rules_.end()) {
        tracks.push_back({MetricWindow(rule.condition), std::nullopt, rule.applies_to(name)});
      } else {
        tracks.push_back(std::move(state.tracks[static_cast<std::size_t>(old - rules_.begin())]));
        tracks.back().applies = rule.applies_to(name);
      }
    }
    state.tracks = std::move(tracks);
  }
  rules_ = std::move(rules);
}

RuleEvaluator::Tenant &RuleEvaluator::tenant(const std::string &name) {
  const auto [found, is_new] = tenants_.try_emplace(name);
  if (is_new) {
    found->second.tracks.reserve(rules_.size());
    for (const Rule &rule : rules_)
      found->second.tracks.push_back({MetricWindow(rule.condition), std::nullopt, rule.applies_to(name)});
  }
  return found->second;
}

std::vector<Firing> RuleEvaluator::observe(const std::string &name, Time end,
                                           std::chrono::milliseconds length, const Usage &usage) {
  std::vector<Firing> firings;
  Tenant &state = tenant(name);
  const bool clock_went_back = end < state.last;
  state.last = end;
  for (std::size_t number = 0; number < rules_.size(); ++number) {
    const Rule &rule = rules_[number];
    Track &track = state.tracks[number];
    if (clock_went_back) {
      track.window = MetricWindow(rule.condition);
      if (track.fired) track.fired = std::min(*track.fired, end);
    }
    if (!track.applies) continue;
    track.window.add(end, length, usage);
    if (track.fired && end - *track.fired < rule.cooldown) continue;
    // Low use is something that was seen all through the window; much use is, however short it took.
    if (wants_low(rule.condition.comparison) && !track.window.is_full(end)) continue;
    const double figure = track.window.figure(end);
    if (!holds(rule.condition.comparison, figure, rule.condition.threshold)) continue;
    track.fired = end;
    firings.push_back({rule.name, name, end, rule.condition, figure, rule.action, rule.dry_run});
  }
  return firings;
}

void RuleEvaluator::restore(const std::string &rule, const std::string &name, Time fired) {
  for (std::size_t number = 0; number < rules_.size(); ++number) {
    if (rules_[number].name != rule) continue;
    Track &track = tenant(name).tracks[number];
    track.fired = std::max(track.fired.value_or(fired), fired);
  }
}

void RuleEvaluator::expire(Time now) {
  std::chrono::seconds longest{0};
  for (const Rule &rule : rules_) longest = std::max({longest, 2 * rule.condition.window, rule.cooldown});
  std::erase_if(tenants_, [&](const auto &entry) {
    Time last = entry.second.last;
    for (const Track &track : entry.second.tracks) last = std::max(last, track.fired.value_or(last));
    return now - last > longest;
  });
}

Result<std::vector<Firing>> replay(Database &database, std::vector<Rule> rules, Time since, Time until,
                                   Resolution resolution) {
  std::vector<Firing> firings;
  RuleEvaluator evaluator(std::move(rules));
  const std::chrono::milliseconds length = period(resolution);
  PADDOCK_CHECK(
      visit_samples(database, since, until, resolution, [&](const std::string &tenant, const Sample &sample) {
        auto fired = evaluator.observe(tenant, sample.start + length, length, sample.usage);
        std::move(fired.begin(), fired.end(), std::back_inserter(firings));
      }));
  return firings;
}

std::string Firing::text() const {
  return std::string(rules::to_string(condition.metric)) + " " + rules::figure_text(figure) + " " +
         std::string(rules::to_string(condition.comparison)) + " " + rules::figure_text(condition.threshold) +
         " over " + std::to_string(condition.window.count()) + " s";
}

std::string Firing::to_json() const {
  return "{\"rule\":" + json_string(rule) + ",\"metric\":\"" +
         std::string(rules::to_string(condition.metric)) + "\",\"figure\":" + rules::figure_text(figure) +
         ",\"comparison\":\"" + std::string(rules::to_string(condition.comparison)) +
         "\",\"threshold\":" + rules::figure_text(condition.threshold) +
         ",\"window_s\":" + std::to_string(condition.window.count()) + ",\"action\":\"" +
         std::string(rules::to_string(action.consequence)) +
         "\",\"dry_run\":" + (dry_run ? "true" : "false") + "}";
}

}  // namespace paddock::accounting
