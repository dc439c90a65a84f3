// The abuse rules, and what they did or would have done. Replay is not of the protocol: `paddock rules replay
// --json` prints it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocols/control/event_result.h"

namespace paddock::control {

struct RuleView {
  std::string name;
  std::string condition;  // "cpu_percent > 80"
  std::int64_t window_s = 0;
  std::string action;
  std::string plan;
  std::int64_t duration_s = 0;
  bool dry_run = false;

  template <typename Io>
  void fields(Io &io) {
    io("name", name);
    io("condition", condition);
    io("window_s", window_s);
    io("action", action);
    io("plan", plan);
    io("duration_s", duration_s);
    io("dry_run", dry_run);
  }
};

struct Rules {
  std::vector<RuleView> rules;

  template <typename Io>
  void fields(Io &io) {
    io("rules", rules);
  }
};

// How the rules have gone.
struct RuleReport {
  std::int64_t since = 0;  // seconds since the epoch
  std::vector<RuleView> rules;
  std::vector<Event> fired;  // since then, the last ones; a dry run's text says what it would have done

  template <typename Io>
  void fields(Io &io) {
    io("since", since);
    io("rules", rules);
    io("fired", fired);
  }
};

struct ReplayedFiring {
  std::int64_t time_ms = 0;  // since the epoch
  std::string rule;
  std::string tenant;
  std::string action;
  bool dry_run = false;
  std::string text;  // the figures

  template <typename Io>
  void fields(Io &io) {
    io("time_ms", time_ms);
    io("rule", rule);
    io("tenant", tenant);
    io("action", action);
    io("dry_run", dry_run);
    io("text", text);
  }
};

// In the order of time.
struct Replay {
  std::vector<ReplayedFiring> firings;

  template <typename Io>
  void fields(Io &io) {
    io("firings", firings);
  }
};

}  // namespace paddock::control
