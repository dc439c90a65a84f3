// `usage` and `events` against a control socket that answers from a list: output and exit status.
#include <algorithm>

#include "cli/events.h"
#include "cli/fake_supervisor.h"
#include "cli/usage.h"

using namespace paddock;
using namespace paddock::cli;

namespace {

control::Event oom_kill() {
  control::Event event;
  event.id = 7;
  event.time_ms = 1'767'225'600'000;
  event.tenant = "alice";
  event.kind = "oom-kill";
  event.actor = "kernel";
  event.text = "1 processes killed\x1b[2J";
  control::EventSnapshot snapshot;
  snapshot.memory_bytes = 64 << 20;
  snapshot.process_count = 2;
  snapshot.processes.push_back({4711, "paddock-php: alice GET /a.php\n", "R", 32 << 20, 1500});
  snapshot.requests.push_back({"GET", "/a.php?x=\x1b", "/home/alice/a.php", 61'000});
  event.snapshot = to_json(snapshot);
  return event;
}

control::UsageReport report(const std::string &tenant) {
  control::UsageReport report;
  auto &usage = report.tenants.emplace_back(control::TenantUsage{tenant, {}, {}}).usage;
  usage.cpu_user_us = 60'000'000;
  usage.cpu_system_us = 30'000'000;
  usage.memory_peak_bytes = 64 << 20;
  usage.requests = 12;
  return report;
}

}  // namespace

TEST_CASE("usage of one tenant") {
  Run run;
  auto answer = report("alice");
  answer.tenants[0].samples.push_back({1'767'225'600, answer.tenants[0].usage});
  Supervisor supervisor(run.socket(), ok_reply(answer));
  SECTION("for people") {
    CHECK(usage(run.session, {.tenant = "alice", .since = "2026-01-01T00:00Z", .step = "hour"}) ==
          ExitStatus::kOk);
    CHECK(supervisor.asked() ==
          "{\"v\":1,\"command\":\"usage\",\"tenant\":\"alice\",\"since\":1767225600,\"step\":\"hour\"}\n");
    CHECK(run.out.str().find("cpu:         1m30s (user 1m, system 30s)") != std::string::npos);
    CHECK(run.out.str().find("\nFROM ") != std::string::npos);
  }
  SECTION("for programs") {
    run.session.json = true;
    CHECK(usage(run.session, {.tenant = "alice"}) == ExitStatus::kOk);
    const auto back = control::result_from_json<control::UsageReport>(run.out.str());
    REQUIRE(back.ok());
    CHECK(back->tenants.at(0).usage.cpu_user_us == 60'000'000);
    CHECK(back->tenants.at(0).samples.size() == 1);
  }
}

TEST_CASE("usage of those with most") {
  Run run;
  auto answer = report("alice");
  answer.tenants.push_back(report("bob").tenants[0]);
  Supervisor supervisor(run.socket(), ok_reply(answer));
  CHECK(usage(run.session, {.since = "2026-01-01T00:00Z", .top = "memory", .limit = 5}) == ExitStatus::kOk);
  CHECK(supervisor.asked() ==
        "{\"v\":1,\"command\":\"usage\",\"since\":1767225600,\"top\":\"memory\",\"limit\":5}\n");
  CHECK(run.out.str().find("TENANT  CPU") == 0);
  CHECK(run.out.str().find("\nbob     1m30s") != std::string::npos);
}

TEST_CASE("bad durations and times are wrong usage") {
  Run run;
  CHECK(usage(run.session, {.tenant = "alice", .since = "yesterday"}) == ExitStatus::kUsage);
  CHECK(usage(run.session, {.since = "9999-01-01"}) == ExitStatus::kUsage);
  CHECK(usage(run.session, {.step = "hour"}) == ExitStatus::kUsage);
  CHECK(events(run.session, {.tenant = "alice", .since = "-5m"}) == ExitStatus::kUsage);
  CHECK(run.err.str().find("--since: expected how long ago") != std::string::npos);
}

TEST_CASE("events, a line each, and what a tenant chose in them drives no terminal") {
  Run run;
  Supervisor supervisor(run.socket(), ok_reply(control::Events{{oom_kill()}, 7}));
  SECTION("lines") {
    CHECK(events(run.session, {.tenant = "alice", .limit = 3}) == ExitStatus::kOk);
    CHECK(supervisor.asked() == "{\"v\":1,\"command\":\"events\",\"tenant\":\"alice\",\"limit\":3}\n");
    CHECK(run.out.str().find("  alice  oom-kill  kernel  \"1 processes killed\\x1b[2J\"\n") !=
          std::string::npos);
  }
  SECTION("with what the tenant was doing") {
    CHECK(events(run.session, {.snapshots = true}) == ExitStatus::kOk);
    CHECK(run.out.str().find("    1m1s  GET     \"/a.php?x=\\x1b\"  /home/alice/a.php\n") !=
          std::string::npos);
    CHECK(run.out.str().find("    4711  R      32.0M   1s500ms  \"paddock-php") != std::string::npos);
    CHECK(run.out.str().find('\x1b') == std::string::npos);
  }
  SECTION("as JSON") {
    run.session.json = true;
    CHECK(events(run.session, {}) == ExitStatus::kOk);
    const auto back = control::result_from_json<control::Event>(run.out.str());
    REQUIRE(back.ok());
    CHECK(back->snapshot == oom_kill().snapshot);
  }
}

TEST_CASE("events are followed until the supervisor goes, or says no") {
  Run run;
  const std::string line = ok_reply(control::Events{{oom_kill()}, 7});
  SECTION("it goes") {
    Supervisor supervisor(run.socket(), line + "\n" + line);
    CHECK(events(run.session, {.follow = true}) == ExitStatus::kNotRunning);
    CHECK(supervisor.asked().find("\"follow\":true") != std::string::npos);
    const std::string out = run.out.str();
    CHECK(std::count(out.begin(), out.end(), '\n') == 2);
  }
  SECTION("it says no") {
    Supervisor supervisor(run.socket(),
                          line + "\n" + control::error_reply(control::ErrorCode::kNotPermitted, "no"));
    CHECK(events(run.session, {.follow = true}) == ExitStatus::kNotPermitted);
  }
}
