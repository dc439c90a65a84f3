// The file that a tenant's keeper writes what PHP and scripts say to: log_dir/tenants/NAME.log.
#pragma once

#include <string>

#include "base/result.h"
#include "policies/config.h"

namespace paddock::supervisor {

// Its last whole lines, `limit` bytes at the most; nothing where there is no file yet. Reads no more than
// that, and understands none of it.
Result<std::string> read_tenant_log(const policies::Runtime &runtime, const std::string &tenant,
                                    std::size_t limit);

}  // namespace paddock::supervisor
