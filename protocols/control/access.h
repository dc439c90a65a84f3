// Who may ask what.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "protocols/control/request.h"

namespace paddock::control {

// The peer of a connection, as SO_PEERCRED and SO_PEERGROUPS say (unix(7), socket(7)).
struct Caller {
  uid_t uid = 0;
  std::vector<gid_t> groups;  // the primary one included
  bool dashboard = false;     // its user is the dashboard's
  bool admin_token = false;   // the request holds a token that the supervisor has found to be an admin's
};

enum class Access : std::uint8_t {
  kDenied,
  kOwn,  // of all that it asks about, only tenants whose uid is the caller's, and nothing about the host
  kAll,
};

// `tenant_uid`: of the tenant that the request names; absent where it names none, or none that exists. So a
// stranger is told "not permitted" whether a tenant exists or not.
[[nodiscard]] Access access_of(const Request &request, const Caller &caller, std::optional<gid_t> admin_group,
                               std::optional<uid_t> tenant_uid);

}  // namespace paddock::control
