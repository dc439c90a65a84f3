#include "base/ipv4.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>

namespace paddock {
namespace {

template <typename Number>
std::optional<Number> parse_number(std::string_view text, Number most) {
  Number number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size() || number > most) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
  in_addr address{};
  if (text.find('\0') != std::string_view::npos ||
      ::inet_pton(AF_INET, std::string(text).c_str(), &address) != 1)
    return std::nullopt;
  return ntohl(address.s_addr);
}

std::string format_ipv4(std::uint32_t address) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." +
         std::to_string(address >> 8 & 255) + "." + std::to_string(address & 255);
}

std::optional<Ipv4Range> Ipv4Range::parse(std::string_view text) {
  Ipv4Range range;
  const std::size_t slash = text.find('/');
  const auto first = parse_ipv4(text.substr(0, slash));
  if (!first) return std::nullopt;
  range.first = *first;
  if (slash != std::string_view::npos) {
    const auto bits = parse_number<unsigned>(text.substr(slash + 1), 32);
    if (!bits) return std::nullopt;
    range.bits = *bits;
  }
  if ((range.first & ~range.mask()) != 0) return std::nullopt;
  return range;
}

std::string Ipv4Range::to_string() const {
  return format_ipv4(first) + (bits == 32 ? std::string() : "/" + std::to_string(bits));
}

std::optional<Ipv4Endpoint> Ipv4Endpoint::parse(std::string_view text) {
  Ipv4Endpoint endpoint;
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    std::string_view port = text.substr(colon + 1);
    if (port.ends_with("/udp")) {
      endpoint.udp = true;
      port.remove_suffix(4);
    } else if (port.ends_with("/tcp")) {
      port.remove_suffix(4);
    }
    const auto number = parse_number<std::uint16_t>(port, 65'535);
    if (!number || *number == 0) return std::nullopt;
    endpoint.port = *number;
    text = text.substr(0, colon);
  }
  const auto range = Ipv4Range::parse(text);
  if (!range) return std::nullopt;
  endpoint.to = *range;
  return endpoint;
}

std::string Ipv4Endpoint::to_string() const {
  if (port == 0) return to.to_string();
  return to.to_string() + ":" + std::to_string(port) + (udp ? "/udp" : "");
}

}  // namespace paddock
