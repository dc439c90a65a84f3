// The zygote: PHP initialised once, and copies of it made into sandboxes. Runs no tenant's code, ever.
#pragma once

#include <string>

#include "base/result.h"

namespace paddock::php_worker {

struct ZygoteOptions {
  int link_fd = -1;  // a MessageSocket to the supervisor (protocols/zygote_link)
  std::string ini_dir;
  std::string name;          // for the title, where there are several PHPs; may be empty
  unsigned opcache_mib = 0;  // opcache.memory_consumption; 0: what php.ini says
};

// Until the supervisor closes the link; then 0. Needs root.
[[nodiscard]] Result<int> run_zygote(const ZygoteOptions &options);

}  // namespace paddock::php_worker
