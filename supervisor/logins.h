// Whose a token is that the dashboard shows us: an admin's, Prometheus', or one of a tenant's link. The
// dashboard passes tokens on; only the supervisor knows their hashes.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "protocols/control/result.h"

namespace paddock::supervisor {

inline constexpr const char *kMetricsRole = "metrics";

class Logins {
 public:
  using Clock = std::chrono::system_clock;
  static constexpr std::chrono::hours kLinkLife{24};
  // Links that were made and not used; beyond, the oldest are void.
  static constexpr std::size_t kMaxLinks = 10'000;

  struct Link {
    std::string code;
    std::int64_t valid_until = 0;  // seconds since the epoch
  };
  // A code that logs in once, to see that tenant. In memory only: a restart of the supervisor voids it.
  [[nodiscard]] Result<Link> make_link(const std::string &tenant, Clock::time_point now = Clock::now());

  // nullopt: nobody's. A link's code is used up by this.
  [[nodiscard]] Result<std::optional<control::Login>> who(const std::string &token_file,
                                                          const std::string &token,
                                                          Clock::time_point now = Clock::now());
  [[nodiscard]] static bool is_admin(const std::string &token_file, const std::string &token);

 private:
  struct Pending {
    std::string tenant;
    Clock::time_point until;
    std::uint64_t number = 0;
  };
  // By the code's hash, so that a look-up's time tells nothing about the codes.
  std::map<std::string, Pending> links_;
  std::map<std::uint64_t, std::string> by_age_;
  std::uint64_t made_ = 0;
};

}  // namespace paddock::supervisor
