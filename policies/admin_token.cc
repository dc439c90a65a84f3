#include "policies/admin_token.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <sys/random.h>

#include <array>
#include <sstream>
#include <vector>

#include "base/file.h"

namespace paddock::policies {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kLargestFile = 4096;
constexpr std::size_t kLongestToken = 256;

std::string hexadecimal(const std::uint8_t *bytes, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i)
    text += {"0123456789abcdef"[bytes[i] >> 4], "0123456789abcdef"[bytes[i] & 15]};
  return text;
}

struct Line {
  TokenRole role;
  std::string hash;
};

Result<std::vector<Line>> read_lines(const std::string &file) {
  std::vector<Line> lines;
  const auto text = read_file(file, kLargestFile);
  if (!text) {
    if (text.error().code == ENOENT) return lines;
    return Error(text.error());
  }
  std::istringstream stream(*text);
  for (std::string name, hash; stream >> name >> hash;)
    if (const auto role = token_role(name)) lines.push_back({*role, hash});
  return lines;
}

}  // namespace

std::string_view to_string(TokenRole role) {
  return role == TokenRole::kAdmin ? "admin" : "metrics";
}

std::optional<TokenRole> token_role(std::string_view name) {
  if (name == "admin") return TokenRole::kAdmin;
  if (name == "metrics") return TokenRole::kMetrics;
  return std::nullopt;
}

Result<std::string> make_token() {
  std::array<std::uint8_t, kTokenBytes> bytes{};
  // Up to 256 bytes come whole (getrandom(2)).
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return errno_error("getrandom");
  return hexadecimal(bytes.data(), bytes.size());
}

std::string hash_of_token(std::string_view token) {
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, token.size(), reinterpret_cast<const std::uint8_t *>(token.data()));
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context, digest.size(), digest.data());
  return hexadecimal(digest.data(), digest.size());
}

Result<void> store_token_hash(const std::string &file, TokenRole role, const std::string &hash) {
  PADDOCK_TRY(const auto lines, read_lines(file));
  std::string text = std::string(to_string(role)) + " " + hash + "\n";
  for (const auto &line : lines)
    if (line.role != role) text += std::string(to_string(line.role)) + " " + line.hash + "\n";
  return replace_file(file, text, 0600);
}

Result<std::optional<TokenRole>> role_of_token(const std::string &file, std::string_view token) {
  std::optional<TokenRole> role;
  if (token.empty() || token.size() > kLongestToken) return role;
  PADDOCK_TRY(const auto lines, read_lines(file));
  const std::string hash = hash_of_token(token);
  for (const auto &line : lines)
    if (line.hash.size() == hash.size() && memeql_sec(line.hash.data(), hash.data(), hash.size()) != 0)
      role = line.role;
  return role;
}

}  // namespace paddock::policies
