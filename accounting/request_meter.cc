#include "accounting/request_meter.h"

#include <algorithm>

#include "accounting/meter.h"

namespace paddock::accounting {
namespace {

// What of a reading is new, as far as all of `highest` together stays below `bound`.
template <std::size_t N>
void count(const std::array<std::uint64_t, N> &now, std::uint64_t bound,
           std::array<std::uint64_t, N> &highest, std::array<std::uint64_t, N> &total) {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : highest) sum += each;
  for (std::size_t i = 0; i < N; ++i) {
    if (now[i] <= highest[i] || sum >= bound) continue;
    const std::uint64_t more = std::min(now[i] - highest[i], bound - sum);
    highest[i] += more;
    total[i] += more;
    sum += more;
  }
}

}  // namespace

void RequestMeter::read(std::uint64_t run, const RequestFigures &figures, std::uint32_t workers,
                        std::chrono::nanoseconds age) {
  if (run_ != run) {
    run_ = run;
    highest_ = {};
  }
  const std::uint64_t requests = most_requests(workers, age);
  count(figures.by_class, requests, highest_.by_class, total_.by_class);
  count(figures.by_time, requests, highest_.by_time, total_.by_time);
  const std::uint64_t time = std::min(figures.time_ns, most_time_ns(workers, age));
  if (time <= highest_.time_ns) return;
  total_.time_ns += time - highest_.time_ns;
  highest_.time_ns = time;
}

}  // namespace paddock::accounting
