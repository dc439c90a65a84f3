// The tokens that the dashboard's users show, and the file of their hashes.
//
// A token is 32 bytes of getrandom(2) in hexadecimal, so that a plain SHA-256 keeps it secret: nobody can try
// 2^256 of them. The file (mode 0600, root's) has a line for each role, "admin HASH" and "metrics HASH".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace paddock::policies {

enum class TokenRole : std::uint8_t {
  kAdmin,    // sees all, may act
  kMetrics,  // may read /metrics
};
[[nodiscard]] std::string_view to_string(TokenRole role);
[[nodiscard]] std::optional<TokenRole> token_role(std::string_view name);

// A new one.
[[nodiscard]] Result<std::string> make_token();
// SHA-256 in hexadecimal.
[[nodiscard]] std::string hash_of_token(std::string_view token);

// Replaces the role's line, and makes the file where there is none.
Result<void> store_token_hash(const std::string &file, TokenRole role, const std::string &hash);
// Whose token it is; nullopt: nobody's. Reads the file each time, so that a new token needs no reload. No
// file: nobody can log in. Takes the same time for every token of the same length.
[[nodiscard]] Result<std::optional<TokenRole>> role_of_token(const std::string &file, std::string_view token);

}  // namespace paddock::policies
