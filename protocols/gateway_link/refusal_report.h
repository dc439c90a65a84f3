// The web server's module to the gateway: a request that it refused itself, so that the tenant's figures have
// it. One datagram each, to a socket that only the web server's account may write to. The module never waits
// for it: what does not fit is counted in the next.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace paddock::gateway_link {

enum class WebServerReason : std::uint8_t {
  kLimit = 0,        // as many as may be in Apache are
  kBacklogFull = 1,  // nobody accepts at the tenant's socket
  kNotRunning = 2,   // there is no such socket
};
// What X-Paddock-Reason says of each, and the figures.
inline constexpr std::array<std::string_view, 3> kWebServerReasons{"apache-limit", "backlog-full",
                                                                   "not-running"};

struct RefusalReport {
  static constexpr std::uint8_t kType = 32;
  // More is a lie.
  static constexpr std::uint32_t kMostRequests = 1'000'000;
  std::string tenant;
  std::uint8_t reason = 0;  // a WebServerReason, or a lie
  std::uint32_t requests = 0;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(reason);
    io(requests);
  }
};

}  // namespace paddock::gateway_link
