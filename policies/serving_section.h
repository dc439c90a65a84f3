// The keys of a plan that say how requests are served.
#pragma once

#include <array>
#include <string_view>

#include "policies/config.h"
#include "policies/section.h"

namespace paddock::policies {

// The choices of `repair`; each is the bit of its place.
inline constexpr std::array<std::string_view, 5> kRepairs = {"redirect", "authorization", "slashes",
                                                             "proxy-prefix", "path-info"};

// The keys are the plan's own, beside the others.
void read_serving(Section &section, Serving &serving);

}  // namespace paddock::policies
