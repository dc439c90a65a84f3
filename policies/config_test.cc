#include "policies/config_test.h"

#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <sstream>

using namespace paddock;
using namespace paddock::policies;
using std::chrono::milliseconds;

namespace {

const IniEntry *ini(const std::vector<IniEntry> &entries, const std::string &name, bool admin) {
  for (const auto &entry : entries)
    if (entry.name == name && entry.admin == admin) return &entry;
  return nullptr;
}

}  // namespace

TEST_CASE("an empty config has a default plan and default directories") {
  const Loaded loaded = parse("");
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.diagnostics.empty());
  CHECK(loaded.config->runtime.run_dir == "/run/paddock");
  CHECK(loaded.config->runtime.gateway_uid == 990);
  CHECK(loaded.config->apache_uid == 33);
  CHECK(loaded.config->plans.at("default").name == "default");
  CHECK(loaded.config->plans.at("default").workers == 4);
  CHECK(loaded.config->tenants.empty());
}

TEST_CASE("tenants of other kinds") {
  const Loaded loaded = parse(
      "[tenant.alice]\n[tenant.alice-cgi]\nuser = \"alice\"\nkind = \"cgi\"\n"
      "[tenant.alice-own]\nuser = \"alice\"\nkind = \"fastcgi\"\n"
      "[tenant.alice-app]\nuser = \"alice\"\nkind = \"fastcgi\"\ncommand = [\"/app\", \"-v\", \"\"]\n"
      "listen = \"/home/alice/app.sock\"\n[tenant.alice-app.php_value]\nmemory_limit = \"1M\"\n");
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  const auto &tenants = loaded.config->tenants;
  CHECK(name_of(tenants.at("alice")->program) == "php");
  CHECK(name_of(tenants.at("alice-cgi")->program) == "cgi");
  CHECK(name_of(tenants.at("alice-own")->program) == "fastcgi");
  const Program &app = tenants.at("alice-app")->program;
  CHECK(name_of(app) == "command");
  CHECK(app.command == std::vector<std::string>{"/app", "-v", ""});
  CHECK(app.listen == "/home/alice/app.sock");
  REQUIRE(loaded.diagnostics.size() == 1);
  CHECK(loaded.diagnostics[0].to_string().find("php_value") != std::string::npos);
  const Loaded missing = parse("[tenant.alice]\nkind = \"fastcgi\"\ncommand = [\"/missing\"]\n");
  REQUIRE(missing.diagnostics.size() == 1);
  CHECK(missing.diagnostics[0].to_string().find("there is no \"/missing\"") != std::string::npos);
}

TEST_CASE("every key arrives") {
  const Directory directory;
  directory.write("page.html", "<h1>Closed</h1>");
  directory.write("paddock.toml", R"(
[runtime]
run_dir = "/run/p/"
state_dir = "/s"
log_dir = "/l"
log_level = "debug"
gateway_user = "bob"
admin_group = "staff"
cgroup = "paddock.slice/php"
allow_missing_controllers = true
php_ini_dir = "/i"
refusal_page = ")" + directory.path + R"(/page.html"
stop_patience = "1m"
[apache]
user = "alice"
[plan.full]
workers = 7
idle = "1m30s"
requests_per_worker = 500
queue = 9
queue_time = "250ms"
slow_clients = 7
receive_time = "5s"
header = "16KiB"
body = "2MiB"
spool = "3MiB"
deadline = 0
tmp_size = 1048576
ini_from_web = "admin"
htaccess = false
slow_log = "3s"
seccomp = "shell"
network = "none"
repair = ["slashes", "redirect"]
status_path = "/status"
ping_path = "/ping"
ping_response = "here"
access_log = true
access_format = "%{%H:%M}t %s"
access_suppress = ["/ping"]
emergency_restart = 5
emergency_restart_interval = "30s"
clear_env = false
cpu = "150%"
cpu_weight = 200
memory_high = "64M"
memory_max = "1G"
swap_max = 0
pids = 100
io_weight = 300
[[plan.full.grant]]
name = "ini-from-web"
reason = "an old control panel"
[[plan.full.grant]]
name = "seccomp"
reason = "the developers' host"
[[plan.full.grant]]
name = "writable-bind"
reason = "pictures that two sites share"
[[plan.full.io]]
device = "/srv"
read_bps = "1M"
write_bps = "2M"
read_iops = 10
write_iops = 20
[plan.full.php_value]
opcache.enable = true
"date.timezone" = "UTC"
precision = 14
memory_limit = "32M"
[plan.full.php_admin_value]
memory_limit = "64M"
[plan.full.env]
LANG = "C.UTF-8"
DEBUG = 1
[[plan.full.bind]]
source = "/run/mysqld"
[[plan.full.bind]]
source = "/srv/shared"
target = "/shared"
writable = true
[tenant."www.example.org"]
user = "homeless"
home = "/home/elsewhere"
plan = "full"
php_value = { memory_limit = "16M" }
env = { LANG = "de" }
)");
  const Loaded loaded = directory.load();
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.diagnostics.empty());
  const Config &config = *loaded.config;
  CHECK(config.runtime.run_dir == "/run/p");
  CHECK(config.runtime.state_dir == "/s");
  CHECK(config.runtime.log_dir == "/l");
  CHECK(config.runtime.log_level == "debug");
  CHECK(config.runtime.gateway_uid == 1002);
  CHECK(config.runtime.admin_gid == std::optional<gid_t>(50));
  CHECK(config.runtime.cgroup == "paddock.slice/php");
  CHECK(config.runtime.allow_missing_controllers);
  CHECK(config.runtime.php_ini_dir == "/i");
  CHECK(config.default_php() == Php{"8.2", "", "/i"});
  CHECK(config.runtime.refusal_page == "<h1>Closed</h1>");
  CHECK(config.runtime.stop_patience == milliseconds(60'000));
  CHECK(config.apache_uid == 1001);

  const Plan &plan = config.plans.at("full");
  CHECK(plan.workers == 7);
  CHECK(plan.idle == milliseconds(90'000));
  CHECK(plan.requests_per_worker == 500);
  CHECK(plan.queue == 9);
  CHECK(plan.queue_time == milliseconds(250));
  CHECK(plan.slow_clients == 7);
  CHECK(plan.receive_time == milliseconds(5'000));
  CHECK(plan.header_bytes == 16U << 10);
  CHECK(plan.body_bytes == 2U << 20);
  CHECK(plan.spool_bytes == 3U << 20);
  CHECK(plan.deadline == milliseconds(0));
  CHECK(plan.tmp_bytes == 1 << 20);
  CHECK(plan.ini_from_web == IniFromWeb::kAdmin);
  CHECK_FALSE(plan.serving.htaccess);
  CHECK(plan.serving.slow == milliseconds(3'000));
  CHECK(plan.serving.repairs == 5);
  CHECK(plan.serving.status_path == "/status");
  CHECK(plan.serving.ping_path == "/ping");
  CHECK(plan.serving.ping_response == "here");
  CHECK(plan.serving.access_log);
  CHECK(plan.serving.access_format == "%{%H:%M}t %s");
  CHECK(plan.serving.access_suppress == std::vector<std::string>{"/ping"});
  CHECK(plan.emergency_restart == 5);
  CHECK(plan.emergency_restart_interval == milliseconds(30'000));
  CHECK_FALSE(plan.clear_env);
  CHECK(plan.limits.cpu_percent == 150U);
  CHECK(plan.limits.cpu_weight == 200U);
  CHECK(plan.limits.memory_high == 64U << 20);
  CHECK(plan.limits.memory_max == 1U << 30);
  CHECK(plan.limits.swap_max == 0U);
  CHECK(plan.limits.pids_max == 100U);
  CHECK(plan.limits.io_weight == 300U);
  REQUIRE(plan.limits.io.size() == 1);
  CHECK(plan.limits.io[0].device == "/srv");
  CHECK(plan.limits.io[0].read_bytes_per_s == 1U << 20);
  CHECK(plan.limits.io[0].write_bytes_per_s == 2U << 20);
  CHECK(plan.limits.io[0].read_ops_per_s == 10U);
  CHECK(plan.limits.io[0].write_ops_per_s == 20U);
  REQUIRE(plan.ini.size() == 5);
  CHECK(ini(plan.ini, "opcache.enable", false)->value == "1");
  CHECK(ini(plan.ini, "date.timezone", false)->value == "UTC");
  CHECK(ini(plan.ini, "precision", false)->value == "14");
  CHECK(ini(plan.ini, "memory_limit", false)->value == "32M");
  CHECK(ini(plan.ini, "memory_limit", true)->value == "64M");
  CHECK(plan.environment == std::vector<std::string>{"LANG=C.UTF-8", "DEBUG=1"});
  REQUIRE(plan.binds.size() == 2);
  CHECK(plan.binds[0].target == "/run/mysqld");
  CHECK_FALSE(plan.binds[0].writable);
  CHECK(plan.binds[1].source == "/srv/shared");
  CHECK(plan.binds[1].target == "/shared");
  CHECK(plan.binds[1].writable);
  CHECK(plan.binds[1].where.line == 78);

  const Tenant &tenant = *config.tenants.at("www.example.org");
  CHECK(tenant.user == "homeless");
  CHECK(tenant.uid == 1003);
  CHECK(tenant.gid == 1003);
  CHECK(tenant.home == "/home/elsewhere");
  CHECK(&config.plan_of(tenant) == &plan);
  CHECK(tenant.ini.at(0).value == "16M");
  CHECK(tenant.environment == std::vector<std::string>{"LANG=de"});
}

TEST_CASE("a plan inherits all that it does not say itself, in any order") {
  const Loaded loaded = parse(R"(
[plan.c]
inherits = "b"
workers = 3
memory_max = "max"
[plan.c.php_value]
b = "c"
[plan.b]
inherits = "a"
queue = 2
[plan.b.php_value]
b = "b"
[plan.a]
workers = 1
queue = 1
memory_max = "64M"
cpu = "50%"
php_value = { a = "a", b = "a" }
env = { X = "a" }
[[plan.a.bind]]
source = "/srv/a"
target = "/srv"
[[plan.c.bind]]
source = "/srv/c"
target = "/srv"
[plan.d]
)");
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  const Plan &c = loaded.config->plans.at("c");
  CHECK(c.name == "c");
  CHECK(c.where.line == 2);
  CHECK(c.workers == 3);
  CHECK(c.queue == 2);
  CHECK_FALSE(c.limits.memory_max.has_value());
  CHECK(c.limits.cpu_percent == 50U);
  CHECK(ini(c.ini, "a", false)->value == "a");
  CHECK(ini(c.ini, "b", false)->value == "c");
  CHECK(c.ini.size() == 2);
  CHECK(c.environment == std::vector<std::string>{"X=a"});
  REQUIRE(c.binds.size() == 1);
  CHECK(c.binds[0].source == "/srv/c");
  CHECK(loaded.config->plans.at("b").workers == 1);
  CHECK(loaded.config->plans.at("d").workers == 4);
}

TEST_CASE("a chain of inheritance as long as the config") {
  std::string text = "[plan.p0]\nworkers = 9\n";
  for (int i = 1; i < 5000; ++i)
    text += "[plan.p" + std::to_string(i) + "]\ninherits = \"p" + std::to_string(i - 1) + "\"\n";
  const Loaded loaded = parse(text);
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->plans.at("p4999").workers == 9);
}

TEST_CASE("included files are read in the order of their names, and name themselves in errors") {
  const Directory directory;
  directory.write("paddock.toml",
                  "include = [\"tenants.d/*.toml\", \"extra.toml\", \"tenants.d/a.toml\"]\n[tenant.bob]\n");
  directory.write("tenants.d/b.toml", "[tenant.alice]\nplan = \"extra\"\n");
  directory.write("tenants.d/a.toml", "[plan.extra]\n");
  directory.write("tenants.d/c.toml~", "not toml");
  directory.write("extra.toml", "");
  Loaded loaded = directory.load();
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->tenants.at("alice")->plan == "extra");
  CHECK(loaded.config->tenants.at("alice")->where.to_string() == directory.path + "/tenants.d/b.toml:1:9");
  CHECK(loaded.config->tenants.size() == 2);
  CHECK(loaded.config->files.size() == 4);

  SECTION("a tenant in two files") {
    directory.write("tenants.d/c.toml", "\n[tenant.alice]\n");
    loaded = directory.load();
    CHECK_FALSE(loaded.config.has_value());
    CHECK(report(loaded) ==
          directory.path + "/tenants.d/c.toml:2:9: error: tenant.alice: declared twice; the first is at " +
              directory.path + "/tenants.d/b.toml:1:9\n");
  }
  SECTION("a plan in two files") {
    directory.write("extra.toml", "[plan.extra]\n");
    loaded = directory.load();
    CHECK_FALSE(loaded.config.has_value());
    CHECK(report(loaded).find("plan.extra: declared twice; the first is at " + directory.path +
                              "/tenants.d/a.toml:1:7") != std::string::npos);
  }
  SECTION("what only the main file may say") {
    directory.write("extra.toml", "include = []\nruntimes = 1\n[runtime]\n[apache]\n[tennant.x]\n");
    loaded = directory.load();
    CHECK_FALSE(loaded.config.has_value());
    REQUIRE(loaded.diagnostics.size() == 5);
    CHECK(loaded.diagnostics[0].explanation().find("only the main file may have this") != std::string::npos);
    CHECK(loaded.diagnostics[1].explanation() ==
          "runtimes: unknown key; expected one of plan, tenant, rule, php");
    CHECK(loaded.diagnostics[4].nearest == "tenant");
  }
  SECTION("a syntax error in one file does not accuse the others") {
    directory.write("tenants.d/a.toml", "[plan.extra\n");
    loaded = directory.load();
    CHECK_FALSE(loaded.config.has_value());
    REQUIRE(loaded.diagnostics.size() == 1);
    CHECK(loaded.diagnostics[0].where.to_string() == directory.path + "/tenants.d/a.toml:1:12");
  }
}

TEST_CASE("a directory whose name looks like a pattern") {
  const Directory directory;
  directory.write("a[b]*/paddock.toml", "include = [\"t.toml\"]\n");
  directory.write("a[b]*/t.toml", "[tenant.alice]\n");
  const Loaded loaded = load_config(directory.path + "/a[b]*/paddock.toml", test_machine());
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->tenants.contains("alice"));
}

TEST_CASE("two tenants may be one user") {
  const Loaded loaded = parse("[tenant.wiki]\nuser = \"alice\"\n[tenant.shop]\nuser = \"alice\"\n");
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.diagnostics.empty());
  CHECK(loaded.config->tenants.at("wiki")->uid == loaded.config->tenants.at("shop")->uid);
}

TEST_CASE("a device that is not there is only a warning, and a bind may say that it can be missing") {
  const Loaded loaded = parse(
      "[[plan.a.bind]]\nsource = \"/missing\"\noptional = true\nnoexec = true\n"
      "[[plan.a.io]]\ndevice = \"/missing\"\nread_iops = 5\n");
  REQUIRE(loaded.config.has_value());
  REQUIRE(loaded.diagnostics.size() == 1);
  CHECK(loaded.diagnostics[0].severity == Severity::kWarning);
  const Bind &bind = loaded.config->plans.at("a").binds.at(0);
  CHECK((bind.optional && bind.noexec && bind.nosuid && bind.nodev));
}

TEST_CASE("a tenant whose bind is missing is left out, and the others run") {
  const Loaded loaded = parse("[tenant.alice]\n[[tenant.alice.bind]]\nsource = \"/missing\"\n[tenant.bob]\n");
  REQUIRE(loaded.config.has_value());
  CHECK_THAT(loaded.config->tenants.at("alice")->problem, Catch::Contains("/missing"));
  CHECK(loaded.config->tenants.at("bob")->problem.empty());
}

TEST_CASE("the shipped plans and the example load") {
  const Directory directory;
  const std::string source = PADDOCK_POLICIES_DIR;
  std::filesystem::copy(source + "/paddock.toml.example", directory.path + "/paddock.toml");
  std::filesystem::copy(source + "/plans", directory.path + "/plans");
  Loaded loaded = directory.load();
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.diagnostics.empty());
  CHECK(loaded.config->plans.size() == 4);
  CHECK(loaded.config->plans.at("shop").limits.memory_max == 4ULL << 30);
  CHECK(loaded.config->plans.at("small").limits.memory_max == 256ULL << 20);
  // The shipped default plan says what the built-in one says, and adds limits.
  const Plan builtin;
  CHECK(loaded.config->plans.at("default").workers == builtin.workers);
  CHECK(loaded.config->plans.at("default").idle == builtin.idle);
  CHECK(loaded.config->plans.at("default").queue == builtin.queue);
  CHECK(loaded.config->plans.at("default").deadline == builtin.deadline);
  CHECK(loaded.config->plans.at("default").tmp_bytes == builtin.tmp_bytes);
}

TEST_CASE("the example's commented-out keys are right, and show the defaults") {
  std::ifstream in(std::string(PADDOCK_POLICIES_DIR) + "/paddock.toml.example");
  std::string text;
  for (std::string line; std::getline(in, line);) {
    // "#key = value" and "#[table]" are examples, "# Text" is prose; files of the admin's are not here.
    if (line.starts_with("#") && line.size() > 1 && line[1] != ' ') line.erase(0, 1);
    if (line.starts_with("include") || line.starts_with("refusal_page") || line.starts_with("inherits"))
      continue;
    text += line + "\n";
  }
  const Loaded loaded = parse(text);
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.diagnostics.empty());
  const Runtime defaults;
  const Runtime &runtime = loaded.config->runtime;
  CHECK(runtime.run_dir == defaults.run_dir);
  CHECK(runtime.state_dir == defaults.state_dir);
  CHECK(runtime.log_dir == defaults.log_dir);
  CHECK(runtime.log_level == defaults.log_level);
  CHECK(runtime.gateway_user == defaults.gateway_user);
  CHECK(runtime.cgroup == defaults.cgroup);
  CHECK(runtime.allow_missing_controllers == defaults.allow_missing_controllers);
  CHECK(loaded.config->default_php() == Config().default_php());
  CHECK(runtime.stop_patience == defaults.stop_patience);
  CHECK(loaded.config->tenants.contains("alice"));
  CHECK(loaded.config->plans.at("shop").binds.size() == 1);
  CHECK(loaded.config->plans.at("shop").limits.io.size() == 1);
}

TEST_CASE("ten thousand tenants load without ten thousand scans of anything") {
  std::string text;
  for (int i = 0; i < 10'000; ++i)
    text += "[tenant.t" + std::to_string(i) + "]\nuser = \"alice\"\nhome = \"/home/alice\"\n";
  const std::clock_t begin = std::clock();
  const Loaded loaded = parse(text);
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->tenants.size() == 10'000);
  // Of CPU, and generous: a build without optimization, perhaps with sanitizers. Anything quadratic takes
  // minutes.
  CHECK(seconds < 15);
}

TEST_CASE("the directories of a config that has errors elsewhere") {
  const Directory directory;
  directory.write("paddock.toml",
                  "include = [\"none.toml\"]\n[runtime]\nrun_dir = \"/r\"\nrun_dri = 1\n[nonsense]\n");
  const auto runtime = load_directories(directory.path + "/paddock.toml");
  REQUIRE(runtime.ok());
  CHECK(runtime->run_dir == "/r");
  CHECK(runtime->state_dir == Runtime().state_dir);
  directory.write("paddock.toml", "[runtime]\nrun_dir = \"r\"\n");
  CHECK(load_directories(directory.path + "/paddock.toml")
            .error()
            .message()
            .find(":2:11: error: runtime.run_dir") != std::string::npos);
  directory.write("paddock.toml", "[runtime\n");
  CHECK_FALSE(load_directories(directory.path + "/paddock.toml").ok());
  CHECK(load_directories(directory.path + "/none.toml").error().code == ENOENT);
}

TEST_CASE("the manual describes every key") {
  std::ifstream in(std::string(PADDOCK_POLICIES_DIR) + "/../docs/man/paddock.toml.5");
  const std::string manual{std::istreambuf_iterator<char>(in), {}};
  // Each table says which keys it knows when it meets one that it does not.
  const Loaded loaded = parse(
      "zzzzzzzzz = 1\n[runtime]\nzzzzzzzzz = 1\n[network]\nzzzzzzzzz = 1\n[apache]\nzzzzzzzzz = "
      "1\n[plan.a]\nzzzzzzzzz = "
      "1\n[[plan.a.io]]\n"
      "device = \"/srv\"\nzzzzzzzzz = 1\n[[plan.a.grant]]\nname = \"seccomp\"\nreason = \"r\"\nzzzzzzzzz = "
      "1\n[[plan.a.bind]]\nsource = \"/srv\"\nzzzzzzzzz = "
      "1\n[tenant.alice]\nzzzzzzzzz = 1\n[rule.a]\nmetric = \"pids\"\nabove = 1\naction = "
      "\"kill\"\nzzzzzzzzz = 1\n[notify]\nzzzzzzzzz = 1\n[dashboard]\nzzzzzzzzz = 1\n[php.a]\nzzzzzzzzz = "
      "1\n");
  REQUIRE(loaded.diagnostics.size() == 13);
  for (const auto &found : loaded.diagnostics) {
    REQUIRE(found.expected.starts_with("one of "));
    std::istringstream keys(found.expected.substr(7));
    for (std::string key; std::getline(keys >> std::ws, key, ',');) {
      INFO(found.key + " " + key);
      CHECK((manual.find("Cm " + key + " ") != std::string::npos ||
             manual.find(", " + key + " ") != std::string::npos ||
             manual.find("." + key + "]") != std::string::npos ||
             manual.find("[" + key) != std::string::npos));
    }
  }
}

TEST_CASE("the binds that a start has to carry are bounded") {
  const auto with = [](int count) {
    std::string text = "[plan.a]\nopcache_keep = \"90m\"\n";
    for (int i = 0; i < count; ++i) text += "[[plan.a.bind]]\nsource = \"/srv/" + std::to_string(i) + "\"\n";
    return parse(text);
  };
  const auto most = with(64);
  REQUIRE(most.config);
  CHECK(most.config->plans.at("a").binds.size() == 64);
  CHECK(most.config->plans.at("a").opcache_keep == std::chrono::minutes(90));
  const auto beyond = with(65);
  CHECK_FALSE(beyond.config);
  REQUIRE(beyond.diagnostics.size() == 1);
  CHECK(beyond.diagnostics.front().to_string().find("more than 64 binds") != std::string::npos);
}

TEST_CASE("whose PHP is which") {
  const Loaded loaded = parse(
      "[runtime]\nphp = \"8.3\"\nphp_ini_dir = \"/i\"\n"
      "[php.\"8.4\"]\nprogram = \"/bin/sh\"\n[php.shop]\nini_dir = \"/srv\"\n"
      "[plan.new]\nphp = \"8.4\"\n[plan.newer]\ninherits = \"new\"\n"
      "[tenant.a]\nuser = \"alice\"\n[tenant.b]\nuser = \"alice\"\nplan = \"newer\"\n"
      "[tenant.c]\nuser = \"alice\"\nplan = \"new\"\nphp = \"8.2\"\n[tenant.d]\nuser = \"alice\"\nphp = "
      "\"shop\"\n");
  INFO(report(loaded));
  REQUIRE(loaded.config.has_value());
  const auto of = [&](const char *name) { return loaded.config->php_of(*loaded.config->tenants.at(name)); };
  CHECK(of("a") == Php{"8.3", "", "/i"});
  CHECK(of("b") == Php{"8.4", "/bin/sh", "/etc/php/8.4/embed"});
  CHECK(of("c") == Php{"8.2", "", "/etc/php/8.2/embed"});
  CHECK(of("d") == Php{"shop", "", "/srv"});
  CHECK(loaded.config->phps_in_use().size() == 4);
}
