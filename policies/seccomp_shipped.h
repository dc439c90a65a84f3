// The profiles of policies/seccomp/, as they were when Paddock was built.
#pragma once

#include <span>

namespace paddock::policies {

struct ShippedProfile {
  const char *name;
  const char *text;  // TOML
};

[[nodiscard]] std::span<const ShippedProfile> shipped_profiles();

}  // namespace paddock::policies
