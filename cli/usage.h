// `paddock usage`: what tenants have used.
#pragma once

#include "cli/session.h"

namespace paddock::cli {

struct UsageOptions {
  std::string tenant;  // empty: those with most
  std::string since = "24h";
  std::string top = "cpu";  // one of control::kFigures
  std::uint32_t limit = 20;
  std::string step;  // of one tenant: one of control::kSteps; empty: the sum alone
};
ExitStatus usage(const Session &session, const UsageOptions &options);

// What `usage` prints of one tenant, of its periods, and of several tenants.
[[nodiscard]] std::string describe(const control::TenantUsage &tenant);
[[nodiscard]] std::string periods(const std::vector<control::UsageSample> &samples);
[[nodiscard]] std::string ranking(const std::vector<control::TenantUsage> &tenants);

}  // namespace paddock::cli
