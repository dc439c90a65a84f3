// What the kernel counted for a cgroup, as read from its files (cgroup-v2.rst).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::cgroups {

// cpu.stat. The first three are counted with or without the cpu controller.
struct CpuStat {
  std::uint64_t usage_us = 0;
  std::uint64_t user_us = 0;
  std::uint64_t system_us = 0;
  std::uint64_t periods = 0;
  std::uint64_t throttled_periods = 0;
  std::uint64_t throttled_us = 0;
};

struct MemoryStat {
  std::uint64_t current = 0;          // bytes
  std::optional<std::uint64_t> peak;  // memory.peak, since Linux 5.19
  std::optional<std::uint64_t> swap;  // memory.swap.current
  // memory.stat, bytes
  std::uint64_t anon = 0;
  std::uint64_t file = 0;
  std::uint64_t shmem = 0;
  std::uint64_t kernel = 0;  // 0 before Linux 5.18, which has no such line
  std::uint64_t slab = 0;
  std::uint64_t sock = 0;
  // memory.events: how often, in this cgroup and below
  std::uint64_t high_events = 0;
  std::uint64_t max_events = 0;
  std::uint64_t oom_events = 0;
  std::uint64_t oom_kills = 0;
};

struct PidsStat {
  std::uint64_t current = 0;
  std::optional<std::uint64_t> peak;  // since Linux 6.1
  std::uint64_t max_events = 0;       // forks refused
};

// io.stat, a line a device.
struct IoStat {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
};

// A *.pressure file (psi.rst): share of time in percent, and the total in µs.
struct Pressure {
  struct Line {
    double avg10 = 0;
    double avg60 = 0;
    double avg300 = 0;
    std::uint64_t total_us = 0;
  };
  Line some;
  Line full;
};

// Absent: the kernel, or the hierarchy without that controller, does not have it.
struct Stats {
  std::optional<CpuStat> cpu;
  std::optional<MemoryStat> memory;
  std::optional<PidsStat> pids;
  std::optional<std::vector<IoStat>> io;
  std::optional<Pressure> cpu_pressure;
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
};

// A device's line of io.max; absent: no limit.
struct IoMax {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::optional<std::uint64_t> read_bytes_per_s;
  std::optional<std::uint64_t> write_bytes_per_s;
  std::optional<std::uint64_t> read_ops_per_s;
  std::optional<std::uint64_t> write_ops_per_s;
};
// Empty where nothing is limited, or there is no io controller.
[[nodiscard]] Result<std::vector<IoMax>> read_io_max(BorrowedFd directory);

// Reads the files of the cgroup whose directory this is. Errors: a file that is there and cannot be read or
// understood; ENODEV: the cgroup has been removed.
[[nodiscard]] Result<Stats> read_stats(BorrowedFd directory);

// Reads one cgroup again and again. Opening a file costs three times what reading it does, so they stay open
// (each holds some 5 KiB of the kernel's memory).
class StatsReader {
 public:
  enum class Depth {
    kNow,     // cpu.stat, memory.current, pids.current
    kLimits,  // and what tells of limits that were hit: memory.events, pids.events, io.stat
    kAll,     // and peaks, swap, pressure and memory.stat, which the kernel must add up first
  };

  StatsReader() = default;
  // The directory outlives this.
  explicit StatsReader(BorrowedFd directory) : directory_(directory) {}

  // As read_stats(); what is not read now is as it was last. The first time all is read. Valid until the next
  // read.
  [[nodiscard]] Result<const Stats *> read(Depth depth);
  // Whether there has been a first time.
  [[nodiscard]] bool primed() const { return stats_.cpu.has_value(); }

 private:
  BorrowedFd directory_;
  std::map<std::string_view, UniqueFd> files_;  // by literal; invalid: there is no such file
  Stats stats_;
};

}  // namespace paddock::cgroups
