#include "dashboard/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <sstream>

using namespace paddock;
using namespace paddock::dashboard;

namespace {

LiveData data_of(std::size_t tenants) {
  control::Status status;
  status.host.emplace();
  control::Samples samples;
  samples.time_ms = 1'700'000'000'000;
  for (std::size_t i = 0; i < tenants; ++i) {
    status.tenants.emplace_back();
    status.tenants.back().name = "tenant" + std::to_string(i);
    status.tenants.back().state = control::TenantState::kRunning;
    samples.tenants.emplace_back();
    samples.tenants.back().tenant = status.tenants.back().name;
    samples.tenants.back().total.cpu_user_us = 1'500'000;
    samples.tenants.back().total.requests = 42;
    samples.tenants.back().requests_by_class = {0, 0, 40, 1, 0, 1};
    samples.tenants.back().requests_by_time = {1, 2, 39};
    samples.tenants.back().requests_time_us = 250'000;
  }
  LiveData data;
  data.take(std::move(status));
  data.take(samples);
  return data;
}

std::size_t lines(const std::string &text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("Each format is asked for by Accept") {
  CHECK(metrics_format("application/openmetrics-text;version=1.0.0,text/plain;q=0.5") ==
        MetricsFormat::kOpenMetrics);
  CHECK(metrics_format("") == MetricsFormat::kText);
  CHECK(metrics_format("*/*") == MetricsFormat::kText);
}

TEST_CASE("Counters are named as their format wants them") {
  const LiveData data = data_of(1);
  const std::string text = metrics(data, {}, MetricsFormat::kText);
  CHECK(text.find("# TYPE paddock_tenant_cpu_seconds_total counter\n") != std::string::npos);
  CHECK(text.find("paddock_tenant_cpu_seconds_total{tenant=\"tenant0\",mode=\"user\"} 1.5\n") !=
        std::string::npos);
  CHECK(text.find("# EOF") == std::string::npos);
  const std::string open = metrics(data, {}, MetricsFormat::kOpenMetrics);
  CHECK(open.find("# TYPE paddock_tenant_cpu_seconds counter\n") != std::string::npos);
  CHECK(open.find("paddock_tenant_cpu_seconds_total{tenant=\"tenant0\",mode=\"user\"} 1.5\n") !=
        std::string::npos);
  CHECK(open.ends_with("\n# EOF\n"));
}

TEST_CASE("No series is told twice, and each tenant has as many") {
  const std::string one = metrics(data_of(1), {}, MetricsFormat::kText);
  const std::string hundred = metrics(data_of(100), {}, MetricsFormat::kText);
  std::set<std::string> seen;
  std::istringstream stream(hundred);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with('#')) continue;
    CHECK(seen.insert(line.substr(0, line.rfind(' '))).second);
  }
  const std::size_t each = (lines(hundred) - lines(one)) / 99;
  CHECK((lines(hundred) - lines(one)) % 99 == 0);
  CHECK(each < 110);
}

TEST_CASE("Durations are a histogram: its buckets hold those below") {
  const std::string text = metrics(data_of(1), {}, MetricsFormat::kOpenMetrics);
  const std::string name = "paddock_tenant_request_duration_seconds";
  CHECK(text.find("# TYPE " + name + " histogram\n") != std::string::npos);
  CHECK(text.find(name + "_bucket{tenant=\"tenant0\",le=\"0.002\"} 1\n") != std::string::npos);
  CHECK(text.find(name + "_bucket{tenant=\"tenant0\",le=\"0.005\"} 3\n") != std::string::npos);
  CHECK(text.find(name + "_bucket{tenant=\"tenant0\",le=\"1.0\"} 42\n") != std::string::npos);
  CHECK(text.find(name + "_bucket{tenant=\"tenant0\",le=\"+Inf\"} 42\n") != std::string::npos);
  CHECK(text.find(name + "_count{tenant=\"tenant0\"} 42\n") != std::string::npos);
  CHECK(text.find(name + "_sum{tenant=\"tenant0\"} 0.25\n") != std::string::npos);
  CHECK(text.find("paddock_tenant_responses_total{tenant=\"tenant0\",code=\"5xx\"} 1\n") !=
        std::string::npos);
}

TEST_CASE("Refusals are told by reason, and reasons that are not known are one") {
  control::Status status;
  status.tenants.emplace_back();
  status.tenants.back().name = "alice";
  status.tenants.back().refused_for = {{"queue-full", 3}, {"of a later version", 2}, {"and another", 5}};
  status.tenants.back().queue = 4;
  status.host.emplace();
  LiveData data;
  data.take(std::move(status));
  const std::string text = metrics(data, {}, MetricsFormat::kText);
  CHECK(text.find("paddock_tenant_refusals_total{tenant=\"alice\",reason=\"queue-full\"} 3\n") !=
        std::string::npos);
  CHECK(text.find("paddock_tenant_refusals_total{tenant=\"alice\",reason=\"other\"} 7\n") !=
        std::string::npos);
  CHECK(text.find("paddock_tenant_connections_held{tenant=\"alice\",waits_for=\"worker\"} 4\n") !=
        std::string::npos);
}

TEST_CASE("Label values are escaped") {
  control::Status status;
  status.host.emplace();
  status.host->version = "a\"b\\c\nd";
  LiveData data;
  data.take(std::move(status));
  CHECK(metrics(data, {}, MetricsFormat::kText).find(R"(version="a\"b\\c\nd")") != std::string::npos);
}

TEST_CASE("Without a supervisor there is one figure that says so") {
  const LiveData data;
  CHECK(metrics(data, {}, MetricsFormat::kText).find("\npaddock_up 0\n") != std::string::npos);
}

TEST_CASE("A process is read from /proc, and one that is not there is none") {
  const auto own = process_figures("self", ::getpid());
  REQUIRE(own);
  CHECK(own->resident_bytes > 100'000);
  CHECK_FALSE(process_figures("none", 0));
  CHECK_FALSE(process_figures("none", -1));
}
