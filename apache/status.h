// What mod_status shows of us: tenants' requests in Apache.
#pragma once

namespace paddock::apache {

void register_status();

}  // namespace paddock::apache
