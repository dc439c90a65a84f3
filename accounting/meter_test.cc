#include "accounting/meter.h"

#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "accounting/accounting_test.h"

using namespace paddock::accounting;
using namespace std::chrono_literals;

namespace {

Counters kernel(std::uint64_t cpu_user_us, std::uint64_t oom_kills = 0) {
  Counters counters;
  counters.cpu_user_us = cpu_user_us;
  counters.oom_kills = oom_kills;
  return counters;
}

Counters board(std::uint64_t requests, std::uint64_t request_ns) {
  Counters counters;
  counters.requests = requests;
  counters.request_ns = request_ns;
  return counters;
}

}  // namespace

TEST_CASE("each figure has its own name") {
  std::set<std::string> names;
  for (const CounterField &field : counter_fields()) names.insert(field.name);
  CHECK(names.size() == counter_fields().size());
  Counters counters;
  for (const CounterField &field : counter_fields()) counters.*field.member += 1;
  for (const CounterField &field : counter_fields()) CHECK(counters.*field.member == 1);
}

TEST_CASE("usage adds up, and stays at the end of what the database holds") {
  Usage sum = cpu(5);
  sum.peaks = {100, 7};
  Usage more = cpu(3);
  more.peaks = {50, 9};
  sum.add(more);
  CHECK(sum.counters.cpu_user_us == 8);
  CHECK(sum.peaks == Peaks{100, 9});
  sum.add(cpu(std::numeric_limits<std::uint64_t>::max()));
  CHECK(sum.counters.cpu_user_us == std::uint64_t{std::numeric_limits<std::int64_t>::max()});
  sum.add(cpu(1));
  CHECK(sum.counters.cpu_user_us == std::uint64_t{std::numeric_limits<std::int64_t>::max()});
}

TEST_CASE("a meter counts what readings differ by, over runs that begin at 0 again") {
  struct Reading {
    std::uint64_t run;
    std::uint64_t value;
    std::uint64_t increment;
  };
  const std::vector<std::pair<const char *, std::vector<Reading>>> cases = {
      {"one run", {{1, 100, 100}, {1, 100, 0}, {1, 250, 150}}},
      {"two runs", {{1, 100, 100}, {2, 30, 30}, {2, 40, 10}}},
      {"a new run that is already past the old one", {{1, 100, 100}, {2, 500, 500}}},
      {"back and forth within a run", {{1, 100, 100}, {1, 10, 0}, {1, 100, 0}, {1, 0, 0}, {1, 110, 10}}},
      {"nothing to read any more", {{1, 100, 100}, {1, 0, 0}, {2, 5, 5}}},
  };
  for (const auto &[name, readings] : cases) {
    CAPTURE(name);
    Meter meter;
    for (const Reading &reading : readings) {
      meter.read_kernel(reading.run, kernel(reading.value));
      CHECK(meter.take().counters.cpu_user_us == reading.increment);
    }
  }
}

TEST_CASE("sources do not touch each other's figures") {
  Meter meter;
  Counters all;
  for (const CounterField &field : counter_fields()) all.*field.member = 10;
  meter.read_kernel(1, all);
  const Counters counted = meter.take().counters;
  for (const CounterField &field : counter_fields()) {
    CAPTURE(field.name);
    CHECK(counted.*field.member == (field.source == Source::kKernel ? 10U : 0U));
  }
  meter.read_gateway(7, all);
  meter.read_network(8, all);
  meter.read_board(1, all, 4, 1h);
  const Counters rest = meter.take().counters;
  CHECK(rest.cpu_user_us == 0);
  CHECK(rest.refused == 10);
  CHECK(rest.net_out_bytes == 10);
  CHECK(rest.requests == 10);
  // A new gateway begins at 0; the cgroup goes on.
  all.refused = 3;
  all.cpu_user_us = 11;
  meter.read_gateway(9, all);
  meter.read_kernel(1, all);
  CHECK(meter.take().counters.refused == 3);
}

TEST_CASE("a scoreboard that lies is believed as far as its workers could have come") {
  constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();
  Meter meter;
  meter.read_board(1, board(1000, 2'000'000'000), 4, 10s);
  CHECK(meter.take().counters.requests == 1000);
  meter.read_board(1, board(kHuge, kHuge), 4, 11s);
  const Counters lie = meter.take().counters;
  CHECK(lie.request_ns == 4 * 11'000'000'000 - 2'000'000'000);
  CHECK(lie.requests < 4 * 11 * 50'000);
  // Turned back and forth it gives nothing more than time allows.
  std::uint64_t sum = 0;
  for (int round = 0; round < 100; ++round) {
    meter.read_board(1, board(0, 0), 4, 12s);
    meter.read_board(1, board(kHuge, kHuge), 4, 12s);
    sum += meter.take().counters.request_ns;
  }
  CHECK(sum == 4'000'000'000);
}

TEST_CASE("a mark lets another meter count on where this one was") {
  Meter before;
  before.read_kernel(run_identity("boot", 17), kernel(1000, 2));
  CHECK(before.take().counters.cpu_user_us == 1000);

  Meter after(before.mark());
  after.read_kernel(run_identity("boot", 17), kernel(1300, 3));
  const Usage more = after.take();
  CHECK(more.counters.cpu_user_us == 300);
  CHECK(more.counters.oom_kills == 1);
  // The same inode of another boot is another cgroup.
  after.read_kernel(run_identity("another boot", 17), kernel(40));
  CHECK(after.take().counters.cpu_user_us == 40);
  CHECK(run_identity("boot", 17) != run_identity("boot", 18));
}

TEST_CASE("gauges become averages and peaks") {
  Meter meter;
  Gauges gauges;
  gauges.memory_bytes = 1536;  // one and a half KiB: nothing gets lost by rounding
  gauges.anon_bytes = 512;
  gauges.pids = 3;
  for (int at = 0; at < 2000; ++at) meter.observe(gauges, 500ms);
  Usage usage = meter.take();
  CHECK(usage.counters.active_ms == 1'000'000);
  CHECK(usage.counters.memory_kib_s == 1500);
  CHECK(usage.counters.anon_kib_s == 500);
  CHECK(usage.counters.pids_s == 3000);
  CHECK(usage.peaks == Peaks{1536, 3});

  // The kernel's peak lies between two samples; it is news once.
  gauges.memory_peak_bytes = 1 << 20;
  gauges.pids_peak = 40;
  meter.observe(gauges, 1s);
  CHECK(meter.take().peaks == Peaks{1 << 20, 40});
  meter.observe(gauges, 1s);
  CHECK(meter.take().peaks == Peaks{1536, 3});
  CHECK(meter.gauges() == gauges);

  meter.ended();
  CHECK(meter.gauges() == Gauges{});
  // The next sandbox is in the same cgroup, whose peak is an old one; that after it in another.
  meter.observe(gauges, 1s);
  CHECK(meter.take().peaks == Peaks{1536, 3});
  meter.read_kernel(run_identity("boot", 18), {});
  meter.observe(gauges, 1s);
  CHECK(meter.take().peaks == Peaks{1 << 20, 40});
}

TEST_CASE("a gap between samples is charged as a minute at most, and none backwards") {
  Meter meter;
  Gauges gauges;
  gauges.memory_bytes = 1 << 20;
  meter.observe(gauges, 10h);
  CHECK(meter.take().counters.memory_kib_s == 60 * 1024);
  meter.observe(gauges, -5s);
  CHECK(meter.take().counters == Counters{});
  gauges.memory_bytes = std::numeric_limits<std::uint64_t>::max();
  meter.observe(gauges, 1min);
  CHECK(meter.take().counters.memory_kib_s < std::uint64_t{1} << 41);
}

TEST_CASE("what the supervisor counts itself") {
  Meter meter;
  meter.count(&Counters::starts);
  meter.count(&Counters::crashes, 2);
  const Usage usage = meter.take();
  CHECK(usage.counters.starts == 1);
  CHECK(usage.counters.crashes == 2);
  CHECK(meter.take().empty());
}
