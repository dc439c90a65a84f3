// What a cgroup may be held to (cgroup-v2.rst, "Controllers").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace paddock::cgroups {

// A device's lines of io.max and io.weight; an absent figure is unlimited, an absent weight the cgroup's.
struct IoLimit {
  std::string device;  // a path: a block device, or a file on the filesystem whose device is meant
  std::optional<std::uint64_t> read_bytes_per_s;
  std::optional<std::uint64_t> write_bytes_per_s;
  std::optional<std::uint64_t> read_ops_per_s;
  std::optional<std::uint64_t> write_ops_per_s;
  std::optional<std::uint32_t> weight;  // 1 to 10000

  bool operator==(const IoLimit &) const = default;
};

// Absent: the kernel's default ("max", weight 100).
struct Limits {
  std::optional<std::uint32_t> cpu_percent;  // cpu.max, of one core: 150 is one and a half
  std::optional<std::uint32_t> cpu_weight;   // 1 to 10000
  std::optional<std::uint64_t> memory_high;  // bytes
  std::optional<std::uint64_t> memory_max;
  std::optional<std::uint64_t> swap_max;
  std::optional<std::uint32_t> pids_max;
  std::optional<std::uint32_t> io_weight;  // 1 to 10000
  std::vector<IoLimit> io;

  bool operator==(const Limits &) const = default;
};

// Which limit could not be set.
struct Refused {
  std::string file;    // "memory.max"
  std::string device;  // of io.max, io.weight: IoLimit::device, where it is one that was asked for
};

}  // namespace paddock::cgroups
