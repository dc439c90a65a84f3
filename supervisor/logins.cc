#include "supervisor/logins.h"

#include "base/log.h"
#include "policies/admin_token.h"

namespace paddock::supervisor {

Result<Logins::Link> Logins::make_link(const std::string &tenant, Clock::time_point now) {
  PADDOCK_TRY(const std::string code, policies::make_token());
  const auto until = now + kLinkLife;
  const std::string hash = policies::hash_of_token(code);
  links_[hash] = {tenant, until, ++made_};
  by_age_[made_] = hash;
  while (by_age_.size() > kMaxLinks) {
    links_.erase(by_age_.begin()->second);
    by_age_.erase(by_age_.begin());
  }
  return Link{code, Clock::to_time_t(until)};
}

Result<std::optional<control::Login>> Logins::who(const std::string &token_file, const std::string &token,
                                                  Clock::time_point now) {
  PADDOCK_TRY(const auto role, policies::role_of_token(token_file, token));
  if (role) return std::optional(control::Login{std::string(policies::to_string(*role)), {}});
  const auto found = links_.find(policies::hash_of_token(token));
  if (found == links_.end()) return std::optional<control::Login>();
  const Pending link = found->second;
  by_age_.erase(link.number);
  links_.erase(found);
  if (now >= link.until) return std::optional<control::Login>();
  return std::optional(control::Login{"tenant", link.tenant});
}

bool Logins::is_admin(const std::string &token_file, const std::string &token) {
  const auto role = policies::role_of_token(token_file, token);
  if (!role) log::error(role.error().message());
  return role && *role == policies::TokenRole::kAdmin;
}

}  // namespace paddock::supervisor
