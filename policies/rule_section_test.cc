#include <catch2/catch.hpp>
#include <filesystem>

#include "policies/config_test.h"

using namespace paddock;
using namespace paddock::policies;
using namespace std::chrono_literals;

namespace {

Machine machine_of(unsigned cpus) {
  Machine machine = test_machine();
  machine.cpus = cpus;
  machine.memory_bytes = 4ULL << 30;
  return machine;
}

Loaded load(const std::string &text, unsigned cpus = 4) {
  return parse_config(text, "/etc/paddock.toml", machine_of(cpus));
}

}  // namespace

TEST_CASE("a rule arrives whole") {
  const auto loaded = load(R"(
[plan.small]
[tenant.alice]
[rule.hog]
metric = "memory_bytes"
above = "400M"
window = "10m"
cooldown = "1h"
action = "throttle"
plan = "small"
duration = "30m"
command = ["/bin/true", "it"]
webhook = "https://example.org/hook"
tenants = ["alice"]
dry_run = true
)");
  REQUIRE(loaded.config.has_value());
  const rules::Rule &rule = loaded.config->rules.at("hog").rule;
  CHECK(loaded.config->rules.at("hog").where.line == 4);
  CHECK(rule.condition.metric == rules::Metric::kMemoryBytes);
  CHECK(rule.condition.comparison == rules::Comparison::kAbove);
  CHECK(rule.condition.threshold == 400.0 * (1 << 20));
  CHECK(rule.condition.window == 10min);
  CHECK(rule.cooldown == 1h);
  CHECK(rule.action.consequence == rules::Consequence::kThrottle);
  CHECK(rule.action.plan == "small");
  CHECK(rule.action.duration == 30min);
  CHECK(rule.action.command == std::vector<std::string>{"/bin/true", "it"});
  CHECK(rule.action.webhook == "https://example.org/hook");
  CHECK(rule.dry_run);
  CHECK(rule.applies_to("alice"));
  CHECK_FALSE(rule.applies_to("bob"));
  CHECK(loaded.config->runtime.notify_uid == 65534);
}

TEST_CASE("a rule that makes no sense is an error where it was written") {
  struct Case {
    const char *text;
    unsigned line;
    const char *key;
    const char *says;
  };
  const Case cases[] = {
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 400\naction = \"kill\"\n", 3, "rule.a.above",
       "can never fire: cpu_percent is never above 400"},
      {"[rule.a]\nmetric = \"oom_kills\"\nat_least = 0\naction = \"kill\"\n", 3, "rule.a.at_least",
       "would always fire"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\n", 1, "rule.a.action", "missing"},
      {"[rule.a]\nmetric = \"cpu_percent\"\naction = \"kill\"\n", 1, "rule.a.above", "missing"},
      {"[rule.a]\nabove = 80\naction = \"kill\"\n", 1, "rule.a.metric", "missing"},
      {"[rule.a]\nmetric = \"cpu\"\nabove = 80\naction = \"kill\"\n", 2, "rule.a.metric", "wrong value"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = \"80M\"\naction = \"kill\"\n", 3, "rule.a.above",
       "wrong value"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = inf\naction = \"kill\"\n", 3, "rule.a.above",
       "wrong value"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\nbelow = 90\naction = \"kill\"\n", 4, "rule.a.below",
       "a rule has one threshold"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\nwindow = \"2d\"\naction = \"kill\"\n", 4,
       "rule.a.window", "were expected"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\nwindow = \"soon\"\naction = \"kill\"\n", 4,
       "rule.a.window", "wrong value"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"notify\"\n", 4, "rule.a.action",
       "neither command nor webhook"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"notify\"\ncommand = [\"true\"]\n", 5,
       "rule.a.command", "an absolute path was expected"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"notify\"\nwebhook = \"ftp://x\"\n", 5,
       "rule.a.webhook", "URL was expected"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"throttle\"\n", 1, "rule.a.plan",
       "missing"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"throttle\"\nplan = \"gold\"\n", 5,
       "rule.a.plan", "there is no plan \"gold\""},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"kill\"\ntenants = [\"alcie\"]\n"
       "[tenant.alice]\n",
       5, "rule.a.tenants", "there is no tenant \"alcie\""},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"kill\"\ntenants = [\"alice\"]\n"
       "exempt = [\"alice\"]\n[tenant.alice]\n",
       6, "rule.a.exempt", "can never fire"},
      {"[rule.a]\nmetric = \"cpu_percent\"\nabove = 80\naction = \"kill\"\nactoin = 1\n", 5, "rule.a.actoin",
       "unknown key"},
      {"[runtime]\nnotify_user = \"ghost\"\n[rule.a]\nmetric = \"pids\"\nabove = 80\naction = \"notify\"\n"
       "command = [\"/bin/true\"]\n",
       2, "runtime.notify_user", "does not exist"},
  };
  for (const Case &each : cases) {
    INFO(each.text);
    const auto loaded = load(each.text);
    CHECK_FALSE(loaded.config.has_value());
    bool told = false;
    for (const auto &found : loaded.diagnostics) {
      INFO(found.to_string());
      told = told || (found.severity == Severity::kError && found.where.line == each.line &&
                      found.key == each.key && found.message.find(each.says) != std::string::npos);
      UNSCOPED_INFO(found.to_string());
    }
    CHECK(told);
  }
  CHECK(load("[rule.a]\nmetric = \"cpu_percent\"\nabove = 400\naction = \"kill\"\n", 8).config.has_value());
}

TEST_CASE("a rule that the plans keep from firing is warned about") {
  const std::string tenants =
      "[plan.small]\ncpu = \"50%\"\nmemory_max = \"256M\"\npids = 60\n[plan.free]\n"
      "[tenant.alice]\nplan = \"small\"\n[tenant.bob]\nplan = \"free\"\n";
  struct Case {
    const char *condition;
    const char *whom;
    bool warned;
  };
  const Case cases[] = {
      {"metric = \"cpu_percent\"\nabove = 50\n", "tenants = [\"alice\"]\n", true},
      {"metric = \"cpu_percent\"\nat_least = 50\n", "tenants = [\"alice\"]\n", false},
      {"metric = \"cpu_percent\"\nabove = 49\n", "tenants = [\"alice\"]\n", false},
      {"metric = \"cpu_percent\"\nabove = 50\n", "", false},
      {"metric = \"memory_bytes\"\nabove = \"300M\"\n", "exempt = [\"bob\"]\n", true},
      {"metric = \"memory_bytes\"\nbelow = \"300M\"\n", "tenants = [\"alice\"]\n", false},
      {"metric = \"pids\"\nat_least = 61\n", "tenants = [\"alice\"]\n", true},
      {"metric = \"throttled_percent\"\nabove = 10\n", "tenants = [\"bob\"]\n", true},
      {"metric = \"throttled_percent\"\nabove = 10\n", "tenants = [\"alice\"]\n", false},
      {"metric = \"oom_kills\"\nabove = 3\n", "tenants = [\"alice\"]\n", false},
  };
  for (const Case &each : cases) {
    const std::string text = tenants + "[rule.a]\n" + each.condition + each.whom + "action = \"kill\"\n";
    INFO(text);
    const auto loaded = load(text);
    REQUIRE(loaded.config.has_value());
    const bool warned =
        std::any_of(loaded.diagnostics.begin(), loaded.diagnostics.end(), [](const auto &found) {
          return found.severity == Severity::kWarning && found.where.line == 12 &&
                 found.message.find("never fires") != std::string::npos;
        });
    CHECK(warned == each.warned);
  }
}

TEST_CASE("the rules that are shipped are good ones, and do nothing") {
  const auto loaded = load("include = [\"" + std::string(PADDOCK_POLICIES_DIR) + "/plans/*.toml\", \"" +
                           PADDOCK_POLICIES_DIR + "/abuse/*.toml\"]\n");
  for (const auto &found : loaded.diagnostics) FAIL_CHECK(found.to_string());
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->rules.size() >= 4);
  for (const auto &[name, entry] : loaded.config->rules) {
    INFO(name);
    CHECK(entry.rule.dry_run);
  }
}

TEST_CASE("a plan that promises its tenants too much is warned about") {
  const auto warnings = [](const std::string &text) {
    std::vector<std::string> out;
    for (const auto &found : load(text).diagnostics) out.push_back(found.to_string());
    return out;
  };
  const std::string tenants = "[tenant.alice]\nplan = \"a\"\n[tenant.bob]\nplan = \"a\"\n";
  CHECK(warnings("[plan.a]\nmemory_max = \"20G\"\ncpu = \"10000%\"\n" + tenants).empty());
  const auto memory = warnings("[plan.a]\nmemory_max = \"21G\"\n" + tenants);
  REQUIRE(memory.size() == 1);
  CHECK(memory[0] ==
        "/etc/paddock.toml:1:7: warning: plan.a: its 2 tenants may together use 21G of memory each, "
        "10.5 times this machine's; overcommit_memory is 10");
  CHECK(warnings("[plan.a]\ncpu = \"10100%\"\n" + tenants).size() == 1);
  CHECK(warnings("[runtime]\novercommit_memory = 0\n[plan.a]\nmemory_max = \"21G\"\n" + tenants).empty());
  CHECK(warnings("[plan.a]\nmemory_max = \"100G\"\n").empty());
}

TEST_CASE("upload sizes become php.ini's, and an ini entry of the plan goes over them") {
  const auto loaded = load(
      "[plan.a]\nupload_max = \"64M\"\n[plan.b]\ninherits = \"a\"\nupload_max = \"8M\"\n"
      "[plan.b.php_admin_value]\npost_max_size = \"99M\"\n");
  REQUIRE(loaded.config.has_value());
  const auto value = [&](const std::string &plan, const std::string &name) {
    std::string all;
    for (const auto &entry : loaded.config->plans.at(plan).ini)
      if (entry.name == name && entry.admin) all += entry.value + ";";
    return all;
  };
  CHECK(value("a", "upload_max_filesize") == "67108864;");
  CHECK(value("a", "post_max_size") == "68157440;");
  CHECK(value("b", "upload_max_filesize") == "8388608;");
  CHECK(value("b", "post_max_size") == "99M;");
}

TEST_CASE("an upload that /tmp does not hold is warned about") {
  CHECK(load("[plan.a]\nupload_max = \"256M\"\n").diagnostics.empty());
  CHECK(load("[plan.a]\nupload_max = \"1G\"\ntmp_size = \"2G\"\n").diagnostics.empty());
  const auto small = load("[plan.a]\nupload_max = \"1G\"\n");
  CHECK(small.config.has_value());
  REQUIRE(small.diagnostics.size() == 1);
  CHECK(small.diagnostics.front().message.find("tmp_size = 256M") != std::string::npos);
}

TEST_CASE("opcache's size is inherited, and one that memory_max does not hold is warned about") {
  const auto loaded = load("[plan.a]\nmemory_max = \"64M\"\nopcache = \"32M\"\n[plan.b]\ninherits = \"a\"\n");
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->plans.at("b").opcache_mib == 32);
  CHECK(loaded.config->plans.at("default").opcache_mib == 0);
  CHECK(loaded.diagnostics.empty());
  const auto tight = load("[plan.a]\nmemory_max = \"64M\"\nopcache = \"64M\"\n");
  CHECK(tight.config.has_value());
  REQUIRE(tight.diagnostics.size() == 1);
  CHECK(tight.diagnostics.front().message.find("memory_max (64M)") != std::string::npos);
}
