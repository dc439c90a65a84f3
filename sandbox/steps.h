// What a child does between clone and its entry point: a table of named steps, so that a failure can say
// which one it was.
//
// A step makes system calls only: no malloc, no locks, no logging. The memory is a copy of a process that may
// have been anywhere. Everything a step needs is prepared in its context before the clone.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

namespace paddock::sandbox {

// Step number kAllDone: all went well.
struct StepReport {
  static constexpr std::uint32_t kAllDone = UINT32_MAX;

  std::uint32_t step = kAllDone;
  std::int32_t code = 0;  // errno
  char object[192] = {};  // on which the step failed, cut off where it is longer; may be empty
};

// `action` returns 0 or an errno value, and may set context.object to what it works on.
template <typename Context>
struct Step {
  const char *name;
  int (*action)(Context &context);
};

// Runs the steps in order until one fails.
template <typename Context>
StepReport run_steps(std::span<const Step<Context>> steps, Context &context) {
  StepReport report;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    context.object = "";
    const int code = steps[i].action(context);
    if (code == 0) continue;
    report.step = static_cast<std::uint32_t>(i);
    report.code = code;
    for (std::size_t n = 0; n + 1 < sizeof report.object && context.object[n] != '\0'; ++n)
      report.object[n] = context.object[n];
    break;
  }
  return report;
}

// For steps that are one call: 0 or errno.
[[nodiscard]] inline int code_of(long result) {
  return result < 0 ? errno : 0;
}

}  // namespace paddock::sandbox
