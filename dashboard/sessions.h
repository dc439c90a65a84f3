// Who is logged in. In memory: a restart of the dashboard logs everybody out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocols/control/result.h"

namespace paddock::dashboard {

struct Session {
  using Clock = std::chrono::steady_clock;

  bool admin = false;
  std::string tenant;  // whom a tenant's link shows; empty for an admin
  std::string token;   // the admin's, for the supervisor, who asks for it with each action
  std::string csrf;    // what actions must show beside the cookie
  Clock::time_point made;
  Clock::time_point used;

  [[nodiscard]] bool may_see(std::string_view name) const { return admin || tenant == name; }
};

class Sessions {
 public:
  static constexpr std::chrono::hours kLife{12};
  static constexpr std::chrono::minutes kIdle{60};
  static constexpr std::size_t kMax = 256;  // beyond, the one that was not used for longest goes

  // The cookie's value. `login`: of an admin or a tenant.
  [[nodiscard]] Result<std::string> add(const control::Login &login, const std::string &token,
                                        Session::Clock::time_point now = Session::Clock::now());
  // Null: unknown or too old.
  [[nodiscard]] const Session *find(const std::string &id,
                                    Session::Clock::time_point now = Session::Clock::now());
  void remove(const std::string &id) { sessions_.erase(id); }
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  std::map<std::string, Session, std::less<>> sessions_;
};

// Whether two texts are the same, in a time that depends on their lengths alone.
[[nodiscard]] bool same_secret(std::string_view one, std::string_view other);

// How long the answer to a wrong token is held back. A right one is answered at once, whoever else tries.
class LoginBrake {
 public:
  static constexpr int kMaxHeld = 16;  // more at once are turned away

  // The delay for one more failure.
  [[nodiscard]] std::chrono::milliseconds failed(Session::Clock::time_point now = Session::Clock::now());

 private:
  unsigned recent_ = 0;
  Session::Clock::time_point last_;
};

}  // namespace paddock::dashboard
