// `paddock rules`: the config's abuse rules, and what they would have done in the past.
#pragma once

#include "cli/session.h"

namespace paddock::cli {

struct RulesOptions {
  std::string what = "list";  // or "replay"
  std::string since = "24h";
  std::string step = "minute";  // one of control::kSteps
};
// replay reads history.db itself, so that rules can be tried that the supervisor has not loaded, and its work
// is not disturbed: for root.
ExitStatus rules(const Session &session, const RulesOptions &options);

}  // namespace paddock::cli
