#include "cli/check.h"

#include <ostream>

namespace paddock::cli {

ExitStatus check(const Session &session) {
  const auto loaded = policies::load_config(session.config);
  control::Findings findings;
  for (const auto &found : loaded.diagnostics) {
    const bool error = found.severity == policies::Severity::kError;
    findings.findings.push_back(
        {error ? control::FindingSeverity::kError : control::FindingSeverity::kWarning,
         found.where.to_string(), found.explanation(), ""});
    if (!session.json) session.out << found.to_string() << '\n';
  }
  if (session.json) session.out << to_json(findings) << '\n';
  if (!loaded.config) return ExitStatus::kUsage;
  if (!session.json && loaded.diagnostics.empty())
    session.out << session.config << ": " << loaded.config->tenants.size() << " tenants, "
                << loaded.config->plans.size() << " plans: fine\n";
  return loaded.diagnostics.empty() ? ExitStatus::kOk : ExitStatus::kFailed;
}

}  // namespace paddock::cli
