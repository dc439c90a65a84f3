#include "dashboard/live_data.h"

#include <catch2/catch.hpp>

using namespace paddock;
using namespace paddock::dashboard;

namespace {

control::Status status_of(std::initializer_list<const char *> names) {
  control::Status status;
  status.host.emplace();
  for (const char *name : names) {
    status.tenants.emplace_back();
    status.tenants.back().name = name;
  }
  return status;
}

control::Samples sample(std::int64_t time_ms, std::uint64_t cpu_us, std::uint64_t requests) {
  control::Samples samples;
  samples.time_ms = time_ms;
  samples.tenants.emplace_back();
  samples.tenants[0].tenant = "alice";
  samples.tenants[0].memory_bytes = 1000;
  samples.tenants[0].total.cpu_user_us = cpu_us;
  samples.tenants[0].total.requests = requests;
  samples.tenants[0].total.request_us = requests * 3000;
  return samples;
}

}  // namespace

TEST_CASE("Rates are what came between two samples") {
  LiveData data;
  data.take(status_of({"alice", "bob"}));
  data.take(sample(10'000, 5'000'000, 100));
  const TenantLive &alice = data.tenants().at("alice");
  CHECK(alice.rates.cpu_percent == 0);
  data.take(sample(12'000, 6'000'000, 120));
  CHECK(alice.rates.cpu_percent == Approx(50));
  CHECK(alice.rates.requests_per_s == Approx(10));
  CHECK(alice.rates.run_ms == Approx(3));
  CHECK(alice.history.size() == 2);
  CHECK_FALSE(data.tenants().at("bob").running);
}

TEST_CASE("Counters that fall, and times that stand still, make no rates") {
  LiveData data;
  data.take(status_of({"alice"}));
  data.take(sample(10'000, 5'000'000, 100));
  data.take(sample(12'000, 1'000, 1));
  CHECK(data.tenants().at("alice").rates.cpu_percent == 0);
  data.take(sample(12'000, 9'000'000, 50));
  CHECK(data.tenants().at("alice").rates.cpu_percent == 0);
}

TEST_CASE("A sandbox that has gone keeps its counters, not its gauges") {
  LiveData data;
  data.take(status_of({"alice"}));
  data.take(sample(10'000, 5'000'000, 100));
  control::Samples none;
  none.time_ms = 12'000;
  data.take(none);
  const TenantLive &alice = data.tenants().at("alice");
  CHECK_FALSE(alice.running);
  CHECK(alice.sample->total.requests == 100);
  CHECK(alice.history.back().memory_bytes == 0);
}

TEST_CASE("The history is bounded, and ends some time after the sandbox has") {
  LiveData data;
  data.take(status_of({"alice"}));
  std::int64_t time = 0;
  for (std::size_t i = 0; i < 2 * LiveData::kHistory; ++i) data.take(sample(time += 2000, 1, 1));
  CHECK(data.tenants().at("alice").history.size() == LiveData::kHistory);
  control::Samples none;
  for (std::size_t i = 0; i <= LiveData::kHistory; ++i) {
    none.time_ms = time += 2000;
    data.take(none);
  }
  CHECK(data.tenants().at("alice").history.empty());
}

TEST_CASE("Tenants that the config has lost are gone, and others keep what is known of them") {
  LiveData data;
  data.take(status_of({"alice", "bob"}));
  data.take(sample(10'000, 5'000'000, 100));
  data.take(status_of({"alice"}));
  CHECK(data.tenants().size() == 1);
  CHECK(data.tenants().at("alice").sample.has_value());
}

TEST_CASE("This machine has CPUs and memory") {
  MachineReader reader;
  const Machine machine = reader.read();
  CHECK(machine.cpus >= 1);
  CHECK(machine.memory_bytes > machine.memory_available_bytes);
}
