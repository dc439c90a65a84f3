// What `paddock top --json` prints each time: what tenants use now.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocols/control/result.h"

namespace paddock::control {

struct TopRow {
  std::string tenant;
  TenantState state = TenantState::kStopped;
  double cpu_percent = 0;  // of one core, since the line before
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> pids;
  double requests_per_s = 0;
  double refused_per_s = 0;
  double io_bytes_per_s = 0;
  std::uint32_t busy = 0;
  std::uint32_t workers = 0;
  std::uint32_t workers_max = 0;

  template <typename Io>
  void fields(Io &io) {
    io("tenant", tenant);
    io("state", state);
    io("cpu_percent", cpu_percent);
    io("memory_bytes", memory_bytes);
    io("pids", pids);
    io("requests_per_s", requests_per_s);
    io("refused_per_s", refused_per_s);
    io("io_bytes_per_s", io_bytes_per_s);
    io("busy", busy);
    io("workers", workers);
    io("workers_max", workers_max);
  }
};

struct Top {
  std::int64_t time_ms = 0;  // since the epoch
  std::vector<TopRow> tenants;

  template <typename Io>
  void fields(Io &io) {
    io("time_ms", time_ms);
    io("tenants", tenants);
  }
};

}  // namespace paddock::control
