// What `paddock top` shows: tenants with their rates, sorted and filtered. No terminal in here.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocols/control/result.h"
#include "protocols/control/top_result.h"
#include "protocols/control/usage_result.h"

namespace paddock::cli {

enum class TopOrder : std::uint8_t { kCpu, kMemory, kRequests, kRefused, kIo, kBusy, kPids, kName };
inline constexpr std::array<std::string_view, 8> kTopOrders = {"cpu", "memory", "requests", "refused",
                                                               "io",  "busy",   "pids",     "name"};

class TopModel {
 public:
  using Clock = std::chrono::steady_clock;

  // What the supervisor says at `now`; rates are those since the call before.
  void take(control::Status status, const control::Samples &samples, Clock::time_point now = Clock::now());

  // Those whose name holds `filter`, in order; the highest first, names from a to z.
  [[nodiscard]] std::vector<control::TopRow> rows(TopOrder order, bool reverse,
                                                  const std::string &filter) const;
  // Null: there is none such.
  [[nodiscard]] const control::TenantStatus *find(const std::string &tenant) const;
  [[nodiscard]] const control::Status &status() const { return status_; }
  [[nodiscard]] bool has_rates() const { return taken_ > 1; }

 private:
  struct Seen {
    std::uint64_t cpu_us = 0;
    std::uint64_t requests = 0;
    std::uint64_t refused = 0;
    std::uint64_t io_bytes = 0;
  };

  control::Status status_;
  std::map<std::string, control::TopRow> rows_;
  std::map<std::string, Seen> seen_;
  Clock::time_point taken_at_;
  unsigned taken_ = 0;
};

}  // namespace paddock::cli
