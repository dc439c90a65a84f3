// IPv4 addresses as numbers, in the host's byte order: ranges, and what can be connected to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace paddock {

// "192.0.2.1", nothing shorter.
[[nodiscard]] std::optional<std::uint32_t> parse_ipv4(std::string_view text);
[[nodiscard]] std::string format_ipv4(std::uint32_t address);

[[nodiscard]] constexpr bool is_loopback(std::uint32_t address) {
  return address >> 24 == 127;
}

struct Ipv4Range {
  std::uint32_t first = 0;
  unsigned bits = 32;  // of the prefix

  // "192.0.2.0/24", or an address; bits beyond the prefix must be 0.
  [[nodiscard]] static std::optional<Ipv4Range> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;  // "192.0.2.0/24", "192.0.2.1"

  [[nodiscard]] std::uint32_t last() const { return first | ~mask(); }
  [[nodiscard]] std::uint32_t mask() const { return bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits); }
  [[nodiscard]] std::uint64_t size() const { return std::uint64_t{1} << (32 - bits); }
  [[nodiscard]] bool contains(std::uint32_t address) const { return (address & mask()) == first; }
  [[nodiscard]] bool overlaps(const Ipv4Range &other) const {
    return first <= other.last() && other.first <= last();
  }
  bool operator==(const Ipv4Range &) const = default;
};

struct Ipv4Endpoint {
  Ipv4Range to;
  std::uint16_t port = 0;  // 0: every port, and every protocol
  bool udp = false;        // with a port: UDP, not TCP

  // A range, and then ":PORT" or ":PORT/udp".
  [[nodiscard]] static std::optional<Ipv4Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  bool operator==(const Ipv4Endpoint &) const = default;
};

}  // namespace paddock
