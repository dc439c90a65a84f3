// `paddock events`: what befell tenants, and what was done to them.
#pragma once

#include "cli/session.h"

namespace paddock::cli {

struct EventsOptions {
  std::string tenant;  // empty: all
  std::string since;   // empty: whenever
  std::uint32_t limit = 100;
  bool follow = false;
  bool snapshots = false;  // print what the tenant was doing, too
};
// Where it follows, it ends with the supervisor only.
ExitStatus events(const Session &session, const EventsOptions &options);

// A line, with its newline.
[[nodiscard]] std::string line_of(const control::Event &event);
// What the tenant was doing, indented; empty where nothing is known.
[[nodiscard]] std::string snapshot_of(const control::Event &event);

}  // namespace paddock::cli
