#include "supervisor/snapshot.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/file.h"
#include "supervisor/figures.h"

namespace paddock::supervisor {
namespace {

// A process's line of proc_pid_stat(5). Its name is whatever the process chose, ')' included: the fields are
// found from the last ')' on. Nothing else of it is read: /proc/PID/cmdline, say, waits for the lock of its
// memory, which a fork bomb's processes hold while the CPU quota keeps them from going on.
std::optional<accounting::Snapshot::Process> process_of(pid_t pid) {
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return {};
  const std::size_t open = stat->find('(');
  const std::size_t close = stat->rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  std::istringstream fields(stat->substr(close + 1));
  accounting::Snapshot::Process process;
  process.pid = pid;
  std::string skipped;
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  std::int64_t resident = 0;
  fields >> process.state;
  for (int field = 4; field <= 13; ++field) fields >> skipped;
  fields >> user >> system;
  for (int field = 16; field <= 23; ++field) fields >> skipped;
  fields >> resident;
  if (!fields) return {};
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  process.cpu_ms = (user + system) * 1000 / ticks;
  process.resident_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(resident, 0)) *
                           static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  process.title = stat->substr(open + 1, close - open - 1);
  return process;
}

}  // namespace

accounting::Snapshot snapshot_of(const Run &run) {
  accounting::Snapshot snapshot;
  if (const auto stats = run.cgroup().stats(); stats) snapshot.gauges = gauges_of(*stats);
  if (const auto pids = run.cgroup().all_processes(); pids) {
    snapshot.process_count = pids->size();
    for (const pid_t pid : *pids) {
      if (snapshot.processes.size() == accounting::Snapshot::kMaxProcesses) break;
      if (auto process = process_of(pid)) snapshot.processes.push_back(std::move(*process));
    }
  }
  for (const auto &[slot, age] : run.running_requests()) {
    if (snapshot.requests.size() == accounting::Snapshot::kMaxRequests) break;
    snapshot.requests.push_back({slot.method, slot.uri, slot.script, age});
  }
  return snapshot;
}

}  // namespace paddock::supervisor
