// /metrics: OpenMetrics 1.0, or Prometheus' older text format for who does not ask for it.
#pragma once

#include <string>

#include "dashboard/live_data.h"

namespace paddock::dashboard {

enum class MetricsFormat : std::uint8_t { kText, kOpenMetrics };

// By the header Accept.
[[nodiscard]] MetricsFormat metrics_format(std::string_view accept);
[[nodiscard]] std::string content_type(MetricsFormat format);

// A program of ours, as /proc shows it.
struct ProcessFigures {
  std::string program;
  double cpu_seconds = 0;
  std::uint64_t resident_bytes = 0;
};
[[nodiscard]] std::optional<ProcessFigures> process_figures(const std::string &program, int pid);

// All figures. The series of a tenant are a fixed number; their only unbounded label is the tenant's name.
[[nodiscard]] std::string metrics(const LiveData &data, const std::vector<ProcessFigures> &processes,
                                  MetricsFormat format);

}  // namespace paddock::dashboard
