#include "cli/status.h"

#include <catch2/catch.hpp>

using namespace paddock;
using namespace paddock::cli;
using control::TenantState;
using control::TenantStatus;

namespace {

TenantStatus alice() {
  TenantStatus tenant;
  tenant.name = "alice";
  tenant.user = "alice";
  tenant.uid = 1001;
  tenant.plan = "small";
  tenant.state = TenantState::kRunning;
  tenant.started_at = 1000;
  tenant.workers = 2;
  tenant.workers_max = 4;
  tenant.busy = 1;
  tenant.requests = 1234;
  tenant.refused = 5;
  tenant.refused_for = {{"body-size", 2}, {"queue-full", 3}};
  tenant.queued = 7;
  tenant.queue_us = 61'000'000;
  tenant.queue = 4;
  tenant.unread = 1;
  tenant.pids = 3;
  tenant.memory_bytes = 45ULL << 20;
  tenant.cpu_us = 61'000'000;
  tenant.running.push_back({7, "GET", "/x?\x1b[2J", "/home/alice/x.php", 63, 3 << 20});
  return tenant;
}

}  // namespace

TEST_CASE("the overview has a line a tenant and as many columns in each") {
  TenantStatus bob;
  bob.name = "bob";
  bob.plan = "default";
  bob.state = TenantState::kBlocked;
  bob.block_reason = "spam\x1b[2J";
  CHECK(overview({alice(), bob}, 8200) ==
        "TENANT  STATE    PLAN     WORKERS  BUSY  REQUESTS  MEMORY  CPU   UPTIME  NOTE\n"
        "alice   running  small    2/4      1     1234      45.0M   1m1s  2h      -\n"
        "bob     blocked  default  0/0      0     0         -       -     -       \"spam\\x1b[2J\"\n");
  CHECK(overview({}, 0) == "TENANT  STATE  PLAN  WORKERS  BUSY  REQUESTS  MEMORY  CPU  UPTIME  NOTE\n");
}

TEST_CASE("one tenant, with what it is doing") {
  const std::string text = describe(alice(), 8200);
  CHECK(text.find("workers:    2 of at most 4, 1 busy\n") != std::string::npos);
  CHECK(text.find("requests:   1234 answered, 5 refused (2 body-size, 3 queue-full)\n") != std::string::npos);
  CHECK(text.find("queued:     7 for 1m1s in all\n") != std::string::npos);
  CHECK(text.find("waiting:    4 for a worker, 0 half-sent, 1 half-read\n") != std::string::npos);
  CHECK(text.find("(2h ago)\n") != std::string::npos);
  CHECK(text.find("7    63ms  3.0M    GET     \"/x?\\x1b[2J\"  /home/alice/x.php\n") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  TenantStatus ghost;
  ghost.state = TenantState::kUnusable;
  ghost.problem = "user \"ghost\" does not exist";
  CHECK(describe(ghost, 0).find("because:   user \"ghost\" does not exist\n") != std::string::npos);
}
