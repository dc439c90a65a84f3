// Subnets as `-R` and `-ipmatch` of Apache's expressions write them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace paddock::htaccess {

// An IPv4 or IPv6 address; IPv4 ones mapped into IPv6 (::ffff:a.b.c.d) count as IPv4.
struct IpAddress {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // IPv4: the first four

  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
};

// "10.1.2.3", "10.1" (the rest is free), "10.0.0.0/8", "10.0.0.0/255.0.0.0", "2001:db8::/32"
// (apr_ipsubnet_create()).
class IpSubnet {
 public:
  [[nodiscard]] static std::optional<IpSubnet> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress &address) const;

 private:
  IpAddress network_;
  std::array<std::uint8_t, 16> mask_{};
};

}  // namespace paddock::htaccess
