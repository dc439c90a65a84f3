#include "cli/token.h"

#include <ostream>

#include "cli/text.h"
#include "policies/admin_token.h"

namespace paddock::cli {
namespace {

Result<std::string> make(const std::string &file, policies::TokenRole role) {
  PADDOCK_TRY(const std::string token, policies::make_token());
  PADDOCK_CHECK(policies::store_token_hash(file, role, policies::hash_of_token(token)));
  return token;
}

}  // namespace

ExitStatus token(const Session &session, const std::string &role) {
  const auto config = load(session);
  if (!config) return ExitStatus::kUsage;
  const auto made =
      make(config->dashboard.token_file, policies::token_role(role).value_or(policies::TokenRole::kAdmin));
  if (!made) {
    const bool denied = made.error().code == EACCES || made.error().code == EPERM;
    return session.fail(denied ? ExitStatus::kNotPermitted : ExitStatus::kFailed, made.error().message());
  }
  if (session.json) {
    session.out << to_json(control::Token{role, *made}) << '\n';
  } else {
    session.out << *made << '\n';
    if (config->dashboard.listen.empty())
      session.err << "paddock: there is no dashboard yet: dashboard.listen is empty\n";
  }
  return ExitStatus::kOk;
}

ExitStatus link(const Session &session, const std::string &tenant) {
  return run<control::Link>(session, {control::Command::kLink, tenant, "", {}},
                            [&](const control::Link &link) {
                              if (session.json) {
                                session.out << to_json(link) << '\n';
                              } else {
                                session.out << link.url << '\n';
                              }
                            });
}

}  // namespace paddock::cli
