#include "protocols/control/access.h"

#include <algorithm>

namespace paddock::control {

Access access_of(const Request &request, const Caller &caller, std::optional<gid_t> admin_group,
                 std::optional<uid_t> tenant_uid) {
  if (caller.uid == 0 || request.command == Command::kVersion) return Access::kAll;
  if (caller.dashboard) {
    switch (request.command) {
      case Command::kStart:
      case Command::kStop:
      case Command::kRestart:
      case Command::kKill:
      case Command::kFreeze:
      case Command::kThaw:
      case Command::kBlock:
      case Command::kUnblock:
      case Command::kThrottle:
      case Command::kUnthrottle:
        return caller.admin_token ? Access::kAll : Access::kDenied;
      case Command::kStatus:
      case Command::kUsage:
      case Command::kEvents:
      case Command::kSamples:
      case Command::kLog:
      case Command::kRules:
      case Command::kDoctor:
      case Command::kLogin:
        return Access::kAll;
      default:
        return Access::kDenied;
    }
  }
  if (admin_group &&
      std::find(caller.groups.begin(), caller.groups.end(), *admin_group) != caller.groups.end())
    return Access::kAll;
  const bool shows = request.command == Command::kStatus || request.command == Command::kUsage ||
                     request.command == Command::kEvents || request.command == Command::kSamples ||
                     request.command == Command::kLog;
  if (!shows) return Access::kDenied;
  if (request.tenant.empty()) return Access::kOwn;
  return tenant_uid == caller.uid ? Access::kOwn : Access::kDenied;
}

}  // namespace paddock::control
