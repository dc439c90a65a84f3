#include "supervisor/limits.h"

#include <map>

#include "base/log.h"

namespace paddock::supervisor {
namespace {

// Which key of a plan goes into which file of the kernel's.
const char *key_of(const std::string &file) {
  static const std::map<std::string, const char *> kKeys = {{"cpu.max", "cpu"},
                                                            {"cpu.weight", "cpu_weight"},
                                                            {"memory.high", "memory_high"},
                                                            {"memory.max", "memory_max"},
                                                            {"memory.swap.max", "swap_max"},
                                                            {"pids.max", "pids"},
                                                            {"io.weight", "io_weight"},
                                                            {"io.max", "io"}};
  const auto found = kKeys.find(file);
  return found == kKeys.end() ? "" : found->second;
}

policies::Location place_of(const cgroups::Refused &refused, const policies::Plan &plan) {
  for (const auto &io : plan.limits.io)
    if (io.device == refused.device) return io.where;
  const auto found = plan.limits.where.find(key_of(refused.file));
  return found == plan.limits.where.end() ? plan.where : found->second;
}

}  // namespace

Result<void> set_limits(const cgroups::Cgroup &cgroup, const policies::Plan &plan) {
  cgroups::Refused refused;
  auto set = cgroup.set_limits(cgroup_limits(plan.limits), &refused);
  if (set) return {};
  Error error = std::move(set).error();
  const policies::Location place = place_of(refused, plan);
  std::string where = place.line == 0 ? "" : place.to_string() + ": ";
  where += "plan." + plan.name + "." + key_of(refused.file) + ": ";
  error.attempt = where + "the kernel refuses it: " + error.attempt;
  return error;
}

std::map<std::string, Error> try_limits(const cgroups::Hierarchy &hierarchy, const policies::Config &config) {
  std::map<std::string, Error> refused;
  // No tenant can have that name.
  const auto cgroup = hierarchy.tenant(".limits");
  if (!cgroup) {
    log::warning("the plans' limits could not be tried: " + cgroup.error().message());
    return refused;
  }
  for (const auto &[name, plan] : config.plans)
    if (auto set = set_limits(*cgroup, plan); !set) refused.emplace(name, std::move(set).error());
  if (const auto removed = cgroup->remove(std::chrono::milliseconds(0)); !removed)
    log::warning(removed.error().message());
  return refused;
}

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
                         .write_ops_per_s = io.write_ops_per_s,
                         .weight = io.weight});
  return result;
}

}  // namespace paddock::supervisor
