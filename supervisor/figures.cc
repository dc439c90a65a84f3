#include "supervisor/figures.h"

namespace paddock::supervisor {

accounting::Counters counters_of(const cgroups::Stats &stats) {
  accounting::Counters counters;
  if (stats.cpu) {
    counters.cpu_user_us = stats.cpu->user_us;
    counters.cpu_system_us = stats.cpu->system_us;
    counters.cpu_periods = stats.cpu->periods;
    counters.cpu_throttled_periods = stats.cpu->throttled_periods;
    counters.cpu_throttled_us = stats.cpu->throttled_us;
  }
  if (stats.memory) {
    counters.oom_kills = stats.memory->oom_kills;
    counters.memory_high_events = stats.memory->high_events;
    counters.memory_max_events = stats.memory->max_events;
  }
  if (stats.pids) counters.forks_refused = stats.pids->max_events;
  if (stats.io) {
    for (const auto &device : *stats.io) {
      counters.io_read_bytes += device.read_bytes;
      counters.io_written_bytes += device.written_bytes;
      counters.io_reads += device.reads;
      counters.io_writes += device.writes;
    }
  }
  if (stats.cpu_pressure) {
    counters.cpu_some_us = stats.cpu_pressure->some.total_us;
    counters.cpu_full_us = stats.cpu_pressure->full.total_us;
  }
  if (stats.memory_pressure) {
    counters.memory_some_us = stats.memory_pressure->some.total_us;
    counters.memory_full_us = stats.memory_pressure->full.total_us;
  }
  if (stats.io_pressure) {
    counters.io_some_us = stats.io_pressure->some.total_us;
    counters.io_full_us = stats.io_pressure->full.total_us;
  }
  return counters;
}

accounting::Gauges gauges_of(const cgroups::Stats &stats) {
  accounting::Gauges gauges;
  if (stats.memory) {
    gauges.memory_bytes = stats.memory->current;
    gauges.memory_peak_bytes = stats.memory->peak.value_or(0);
    gauges.swap_bytes = stats.memory->swap.value_or(0);
    gauges.anon_bytes = stats.memory->anon;
    gauges.file_bytes = stats.memory->file;
    gauges.kernel_bytes = stats.memory->kernel;
    gauges.shmem_bytes = stats.memory->shmem;
    gauges.sock_bytes = stats.memory->sock;
  }
  if (stats.pids) {
    gauges.pids = stats.pids->current;
    gauges.pids_peak = stats.pids->peak.value_or(0);
  }
  if (stats.cpu_pressure) {
    gauges.cpu_some_avg10 = stats.cpu_pressure->some.avg10;
    gauges.cpu_full_avg10 = stats.cpu_pressure->full.avg10;
  }
  if (stats.memory_pressure) {
    gauges.memory_some_avg10 = stats.memory_pressure->some.avg10;
    gauges.memory_full_avg10 = stats.memory_pressure->full.avg10;
  }
  if (stats.io_pressure) {
    gauges.io_some_avg10 = stats.io_pressure->some.avg10;
    gauges.io_full_avg10 = stats.io_pressure->full.avg10;
  }
  return gauges;
}

}  // namespace paddock::supervisor
