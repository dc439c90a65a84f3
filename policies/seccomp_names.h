// Names for the values that seccomp profiles compare arguments with, and for errno values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace paddock::policies {

// "AF_INET", "TIOCSTI", "PR_SET_NAME"; nullopt: no name that profiles know.
[[nodiscard]] std::optional<std::uint64_t> argument_value(std::string_view name);
[[nodiscard]] std::vector<std::string> argument_names();

// The answers that a profile may give: "EPERM".
[[nodiscard]] std::optional<int> refusal_value(std::string_view name);
[[nodiscard]] std::string refusal_name(int value);
[[nodiscard]] std::vector<std::string> refusal_names();

}  // namespace paddock::policies
