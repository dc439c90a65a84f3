// Not of the protocol: what `paddock rules --json` prints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
