// What the control socket tells of the tenants and of the supervisor itself.
#pragma once

#include "protocols/control/result.h"
#include "supervisor/supervisor.h"

namespace paddock::supervisor {

[[nodiscard]] control::TenantState state_of(const Tenant &tenant);
// Reads the tenant's cgroup files and scoreboard now. What the scoreboard says is bounded, and stays hostile
// text.
[[nodiscard]] control::TenantStatus status_of(const Tenant &tenant);
// What each of its running requests has of memory: a file of /proc for each of its processes.
void add_memory_of_requests(const Tenant &tenant, control::TenantStatus &status);
[[nodiscard]] control::HostStatus host_status(const Supervisor &supervisor);

}  // namespace paddock::supervisor
