#include "protocols/mail/address.h"

#include <algorithm>
#include <cstddef>

namespace paddock::mail {
namespace {

constexpr std::size_t kLongest = 254;  // RFC 5321, 4.5.3.1.3, without the angle brackets

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_local(char c) {
  return is_letter_or_digit(c) || std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
}

bool is_domain(std::string_view domain) {
  if (domain.starts_with('[') && domain.ends_with(']')) {
    domain = domain.substr(1, domain.size() - 2);
    return !domain.empty() && std::all_of(domain.begin(), domain.end(), [](char c) {
      return is_letter_or_digit(c) || c == '.' || c == ':';
    });
  }
  if (domain.empty() || domain.front() == '-' || domain.front() == '.') return false;
  return std::all_of(domain.begin(), domain.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_'; });
}

}  // namespace

bool is_plain_address(std::string_view text) {
  if (text.size() > kLongest) return false;
  const std::size_t at = text.find('@');
  const std::string_view local = text.substr(0, at);
  if (local.empty() || !std::all_of(local.begin(), local.end(), is_local)) return false;
  if (std::string_view("-|/.").find(local.front()) != std::string_view::npos) return false;
  return at == std::string_view::npos || is_domain(text.substr(at + 1));
}

}  // namespace paddock::mail
