#include "supervisor/limits.h"

namespace paddock::supervisor {

cgroups::Limits cgroup_limits(const policies::Limits &limits) {
  cgroups::Limits result{
      .cpu_percent = limits.cpu_percent,
      .cpu_weight = limits.cpu_weight,
      .memory_high = limits.memory_high,
      .memory_max = limits.memory_max,
      .swap_max = limits.swap_max,
      .pids_max = limits.pids_max,
      .io_weight = limits.io_weight,
      .io = {},
  };
  for (const auto &io : limits.io)
    result.io.push_back({.device = io.device,
                         .read_bytes_per_s = io.read_bytes_per_s,
                         .write_bytes_per_s = io.write_bytes_per_s,
                         .read_ops_per_s = io.read_ops_per_s,
                         .write_ops_per_s = io.write_ops_per_s});
  return result;
}

}  // namespace paddock::supervisor
