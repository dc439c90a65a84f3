// paddock-php serve: a keeper and its workers without a sandbox, as the calling user.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "protocols/zygote_link/zygote_link.h"

namespace paddock::php_worker {

struct ServeOptions {
  std::string listen;
  std::string name = "serve";
  std::string ini_dir;
  std::string log;  // empty: standard error
  std::string ini_from_web = "value";
  std::uint16_t workers_max = 4;
  std::uint16_t workers_start = 0;  // 0: workers_max
  std::uint32_t requests_per_worker = 0;
  std::vector<std::pair<std::string, std::string>> ini;
  std::vector<zygote_link::IniEntry> plan_ini;
  zygote_link::Serving serving;
};

// Until SIGTERM, SIGINT or SIGQUIT. Makes the socket (mode by the umask; one left over by a process that is
// gone is replaced) and removes it. Returns the exit status.
[[nodiscard]] Result<int> run_serve(const ServeOptions &options);

}  // namespace paddock::php_worker
