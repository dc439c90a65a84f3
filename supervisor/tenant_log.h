// The files that a tenant's keeper writes: what PHP and scripts say, log_dir/tenants/NAME.log, and the access
// log, log_dir/access/NAME.log. Only the keeper writes there, the tenant may read.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "policies/config.h"

namespace paddock::supervisor {

struct TenantLogs {
  UniqueFd log;
  UniqueFd access;  // /dev/null without an access log
};

// O_APPEND; made where they are missing, mode 0640, root's and the tenant's group's.
Result<TenantLogs> open_tenant_logs(const policies::Runtime &runtime, const policies::Tenant &tenant,
                                    bool access);

// Of the first: its last whole lines, `limit` bytes at the most; nothing where there is no file yet. Reads no
// more than that, and understands none of it.
Result<std::string> read_tenant_log(const policies::Runtime &runtime, const std::string &tenant,
                                    std::size_t limit);

}  // namespace paddock::supervisor
