#include "policies/grants.h"

#include <algorithm>

#include "base/log.h"

namespace paddock::policies {
namespace {

constexpr std::size_t kLongestReason = 512;

const std::vector<std::string> &grant_names() {
  static const std::vector<std::string> names = {
      std::string(kGrantSeccomp), std::string(kGrantLearning), std::string(kGrantIniFromWeb),
      std::string(kGrantWritableBind), std::string(kGrantLooseBind)};
  return names;
}

void read_grant(Section section, std::vector<Grant> &grants) {
  Grant grant;
  grant.where = section.location();
  const auto name = section.choice("name", grant_names());
  const auto reason = section.text("reason");
  section.finish();
  if (!name) {
    if (section.find("name") == nullptr) section.fail("name", "missing", "what is granted: \"seccomp\", …");
    return;
  }
  grant.name = grant_names()[*name];
  if (!reason || reason->find_first_not_of(" \t\r\n") == std::string::npos ||
      reason->size() > kLongestReason) {
    section.fail("reason", reason ? "wrong value" : "missing",
                 "why " + log::quoted(grant.name) + " is granted, in at most 512 characters");
  } else {
    grant.reason = *reason;
  }
  std::erase_if(grants, [&](const Grant &other) { return other.name == grant.name; });
  grants.push_back(std::move(grant));
}

}  // namespace

void read_grants(Section &section, std::vector<Grant> &grants) {
  for (const Value *value : section.tables("grant"))
    read_grant(section.inside("grant", *value->as<Table>(), value->where), grants);
}

bool has_grant(const std::vector<Grant> &grants, std::string_view name) {
  return std::any_of(grants.begin(), grants.end(), [&](const Grant &grant) { return grant.name == name; });
}

void require_grant(Section &section, std::string_view key, const std::vector<Grant> &grants,
                   std::string_view name, const std::string &what) {
  if (has_grant(grants, name)) return;
  section.fail(key, what, "a grant named \"" + std::string(name) + "\" that says why");
}

}  // namespace paddock::policies
