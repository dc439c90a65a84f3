#include "htaccess/ip_subnet.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace paddock::htaccess {
namespace {

std::optional<unsigned> parse_number(std::string_view text, unsigned limit) {
  unsigned number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size() || number > limit) return std::nullopt;
  return number;
}

void set_prefix(std::array<std::uint8_t, 16> &mask, unsigned bits) {
  for (std::uint8_t &byte : mask) {
    const unsigned here = std::min(bits, 8U);
    byte = static_cast<std::uint8_t>(0xFF00U >> here);
    bits -= here;
  }
}

// "10", "10.1", "10.1.2" with or without a dot at the end: fills the address, returns its bits.
std::optional<unsigned> parse_partial(std::string_view text, IpAddress &address) {
  unsigned bits = 0;
  for (std::size_t i = 0; i < 4 && !text.empty(); ++i) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    const auto number = parse_number(text.substr(0, dot), 255);
    if (!number) return std::nullopt;
    address.bytes[i] = static_cast<std::uint8_t>(*number);
    bits += 8;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return text.empty() && bits > 0 ? std::optional(bits) : std::nullopt;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  IpAddress address;
  if (::inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
  if (::inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) != 1) return std::nullopt;
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin())) {
    std::copy(address.bytes.begin() + 12, address.bytes.end(), address.bytes.begin());
    std::fill(address.bytes.begin() + 4, address.bytes.end(), std::uint8_t{0});
    return address;
  }
  address.v6 = true;
  return address;
}

std::optional<IpSubnet> IpSubnet::parse(std::string_view text) {
  IpSubnet subnet;
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (address) {
    subnet.network_ = *address;
    set_prefix(subnet.mask_, address->v6 ? 128 : 32);
  } else {
    const auto bits = parse_partial(text.substr(0, slash), subnet.network_);
    if (!bits || slash != std::string_view::npos) return std::nullopt;
    set_prefix(subnet.mask_, *bits);
  }
  if (slash != std::string_view::npos) {
    const std::string_view mask = text.substr(slash + 1);
    if (const auto bits = parse_number(mask, subnet.network_.v6 ? 128 : 32)) {
      set_prefix(subnet.mask_, *bits);
    } else {
      const auto dotted = IpAddress::parse(mask);
      if (!dotted || dotted->v6 || subnet.network_.v6) return std::nullopt;
      subnet.mask_ = dotted->bytes;
    }
  }
  return subnet;
}

bool IpSubnet::contains(const IpAddress &address) const {
  if (address.v6 != network_.v6) return false;
  const std::size_t size = address.v6 ? 16 : 4;
  for (std::size_t i = 0; i < size; ++i)
    if ((address.bytes[i] & mask_[i]) != (network_.bytes[i] & mask_[i])) return false;
  return true;
}

}  // namespace paddock::htaccess
