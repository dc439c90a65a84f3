#include "accounting/request_meter.h"

#include <catch2/catch.hpp>
#include <limits>
#include <numeric>

using namespace paddock;
using namespace paddock::accounting;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

RequestFigures figures(std::uint64_t good, std::uint64_t fast, std::uint64_t time_ns) {
  RequestFigures figures;
  figures.by_class[2] = good;
  figures.by_time[0] = fast;
  figures.time_ns = time_ns;
  return figures;
}

template <std::size_t N>
std::uint64_t sum(const std::array<std::uint64_t, N> &of) {
  return std::accumulate(of.begin(), of.end(), std::uint64_t{0});
}

}  // namespace

TEST_CASE("durations fall into the bucket whose bound they do not pass") {
  CHECK(latency_bucket(0) == 0);
  CHECK(latency_bucket(kLatencyBoundsMs[0] * 1'000'000) == 0);
  CHECK(latency_bucket(kLatencyBoundsMs[0] * 1'000'000 + 1) == 1);
  CHECK(latency_bucket(kLatencyBoundsMs.back() * 1'000'000) == kLatencyBuckets - 2);
  CHECK(latency_bucket(kHuge) == kLatencyBuckets - 1);
  CHECK(std::is_sorted(kLatencyBoundsMs.begin(), kLatencyBoundsMs.end()));
}

TEST_CASE("request figures go on over runs, and never fall") {
  RequestMeter meter;
  meter.read(1, figures(10, 9, 500), 2, 1s);
  meter.read(1, figures(12, 9, 600), 2, 2s);
  CHECK(meter.total() == figures(12, 9, 600));
  meter.read(1, figures(0, 0, 0), 2, 3s);
  meter.read(1, figures(12, 9, 600), 2, 3s);
  CHECK(meter.total() == figures(12, 9, 600));
  meter.read(2, figures(1, 1, 7), 2, 1s);
  CHECK(meter.total() == figures(13, 10, 607));
}

TEST_CASE("a scoreboard that lies about requests is believed as far as its workers could have come") {
  RequestMeter meter;
  RequestFigures lie;
  lie.by_class.fill(kHuge);
  lie.by_time.fill(kHuge);
  lie.time_ns = kHuge;
  meter.read(1, lie, 4, 10s);
  CHECK(meter.total().time_ns == 40'000'000'000);
  CHECK(sum(meter.total().by_class) == sum(meter.total().by_time));
  CHECK(sum(meter.total().by_class) < 4 * 10 * 50'000);
  // Turned back and forth, and from one figure to another, it gives nothing more.
  const RequestFigures before = meter.total();
  for (int round = 0; round < 100; ++round) {
    meter.read(1, figures(0, 0, 0), 4, 10s);
    meter.read(1, lie, 4, 10s);
    meter.read(1, figures(kHuge, 0, kHuge), 4, 10s);
  }
  CHECK(meter.total() == before);
}
