#include "dashboard/sessions.h"

#include <algorithm>

#include "policies/admin_token.h"

namespace paddock::dashboard {

Result<std::string> Sessions::add(const control::Login &login, const std::string &token,
                                  Session::Clock::time_point now) {
  PADDOCK_TRY(const std::string id, policies::make_token());
  Session session;
  session.admin = login.role == "admin";
  session.tenant = login.tenant;
  if (session.admin) session.token = token;
  PADDOCK_TRY(session.csrf, policies::make_token());
  session.made = session.used = now;
  if (sessions_.size() >= kMax) {
    const auto oldest =
        std::min_element(sessions_.begin(), sessions_.end(),
                         [](const auto &a, const auto &b) { return a.second.used < b.second.used; });
    sessions_.erase(oldest);
  }
  sessions_.emplace(id, std::move(session));
  return id;
}

const Session *Sessions::find(const std::string &id, Session::Clock::time_point now) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return nullptr;
  if (now - found->second.made >= kLife || now - found->second.used >= kIdle) {
    sessions_.erase(found);
    return nullptr;
  }
  found->second.used = now;
  return &found->second;
}

bool same_secret(std::string_view one, std::string_view other) {
  if (one.size() != other.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < one.size(); ++i)
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(one[i]) ^ static_cast<unsigned char>(other[i]));
  return difference == 0;
}

std::chrono::milliseconds LoginBrake::failed(Session::Clock::time_point now) {
  using std::chrono::milliseconds;
  constexpr std::chrono::seconds kForget(60);
  constexpr unsigned kDoublings = 5;
  if (now - last_ > kForget) recent_ = 0;
  last_ = now;
  return milliseconds(250) * (1U << std::min(recent_++, kDoublings));
}

}  // namespace paddock::dashboard
