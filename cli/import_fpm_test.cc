// Pools become tenants and plans that the supervisor accepts, and every directive is accounted for.
#include "cli/import_fpm.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <optional>

#include "policies/config_file.h"

using namespace paddock;
using namespace paddock::cli;
using control::FindingSeverity;

namespace {

policies::Machine machine() {
  policies::Machine answers = policies::this_machine();
  answers.account = [](const std::string &user) -> Result<std::optional<policies::Account>> {
    if (user == "alice") return std::optional(policies::Account{1001, 1001, "/home/alice"});
    if (user == "bob") return std::optional(policies::Account{1002, 100, "/home/bob"});
    if (user == "www-data") return std::optional(policies::Account{33, 33, "/var/www"});
    if (user == "paddock-gateway") return std::optional(policies::Account{990, 990, "/"});
    return std::optional<policies::Account>();
  };
  answers.group = [](const std::string &group) -> Result<std::optional<gid_t>> {
    if (group == "alice") return std::optional<gid_t>(1001);
    return std::optional<gid_t>();
  };
  answers.home_problem = [](const std::string &, uid_t) { return std::string(); };
  answers.exists = [](const std::string &) { return true; };
  return answers;
}

Import import_text(const std::string &text) {
  FpmConfig fpm;
  parse_fpm_config(text, "/etc/pool.conf", machine(), fpm);
  return import_fpm(fpm, machine());
}

// The config that the import makes, read as the supervisor reads it.
policies::Config config_of(const Import &import) {
  std::string text = import.plans;
  for (const auto &tenant : import.tenants) text += tenant.toml;
  auto loaded = policies::parse_config(text, "imported", machine());
  for (const auto &found : loaded.diagnostics) UNSCOPED_INFO(found.to_string());
  REQUIRE(loaded.config);
  return std::move(*loaded.config);
}

// The severity of the note about what `what` names; nullopt: there is none.
std::optional<FindingSeverity> noted(const Import &import, const std::string &what) {
  for (const auto &note : import.notes)
    if (note.subject.find("] " + what) != std::string::npos) return note.severity;
  return std::nullopt;
}

}  // namespace

TEST_CASE("a pool becomes a tenant with a plan") {
  const auto import = import_text(R"([alice]
user = alice
group = alice
listen = /run/php/alice.sock
pm = ondemand
pm.max_children = 7
pm.process_idle_timeout = 2m
pm.max_requests = 500
request_terminate_timeout = 90
request_slowlog_timeout = 3s
security.limit_extensions = .php .inc
env[DB] = "a \"b\" \\ c"
env[NODE] = $HOSTNAME
clear_env = no
pm.status_path = /status
ping.path = /ping
ping.response = here
access.log = /var/log/$pool.log
access.format = "%R %s"
access.suppress_path[] = /ping
access.suppress_path[] = /health
php_value[date.timezone] = Europe/Berlin
php_flag[display_errors] = off
php_admin_value[memory_limit] = 64M
php_admin_flag[log_errors] = on
php_admin_value[memory_limit] = 96M
)");
  const auto config = config_of(import);
  const policies::Tenant &tenant = *config.tenants.at("alice");
  const auto &plan = config.plan_of(tenant);
  CHECK(tenant.user == "alice");
  CHECK(plan.workers == 7);
  CHECK(plan.idle == std::chrono::minutes(2));
  CHECK(plan.requests_per_worker == 500);
  CHECK(plan.deadline == std::chrono::seconds(90));
  CHECK(plan.serving.slow == std::chrono::seconds(3));
  CHECK(tenant.environment == std::vector<std::string>{"DB=a \"b\" \\ c", "NODE=$HOSTNAME"});
  CHECK_FALSE(plan.clear_env);
  CHECK(plan.serving.status_path == "/status");
  CHECK(plan.serving.ping_path == "/ping");
  CHECK(plan.serving.ping_response == "here");
  CHECK(plan.serving.access_log);
  CHECK(plan.serving.access_format == "%R %s");
  CHECK(plan.serving.access_suppress == std::vector<std::string>{"/ping", "/health"});
  const auto ini = [&](const std::string &name) {
    std::string found;
    for (const auto &entry : tenant.ini)
      if (entry.name == name) found = entry.value + (entry.admin ? " admin" : "");
    return found;
  };
  CHECK(ini("date.timezone") == "Europe/Berlin");
  CHECK(ini("display_errors") == "0");
  CHECK(ini("memory_limit") == "96M admin");
  CHECK(ini("log_errors") == "1 admin");
  CHECK(ini("paddock.limit_extensions") == ".php .inc admin");
  CHECK(import.notes.size() == 4);
  for (const char *told : {"listen = ", "clear_env = ", "access.log = ", "env[NODE] = "}) {
    INFO(told);
    CHECK(noted(import, told) == FindingSeverity::kWarning);
  }
}

TEST_CASE("pools with the same limits share a plan") {
  const auto import = import_text(
      "[alice]\nuser=alice\npm=static\npm.max_children=3\n[bob]\nuser=bob\npm=static\npm.max_children=3\n"
      "[bob2]\nuser=bob\npm=static\npm.max_children=4\n");
  const auto config = config_of(import);
  CHECK(config.plans.size() == 3);  // with "default"
  CHECK(config.tenants.at("alice")->plan == config.tenants.at("bob")->plan);
  CHECK(config.plan_of(*config.tenants.at("bob2")).workers == 4);
  CHECK(config.plan_of(*config.tenants.at("bob2")).idle.count() == 0);
}

TEST_CASE("what cannot be a tenant is left out, and the rest can be used") {
  const auto import = import_text(
      "[www]\nuser = www-data\n[nobody's]\npm = dynamic\n[Al.Ice]\nuser = alice\n[al.ice]\nuser = alice\n"
      "[bad]\nuser = bob\nenv[X-Y] = 1\n[uid]\nuser = 1000\n");
  const auto config = config_of(import);
  CHECK(config.tenants.contains("al.ice"));
  CHECK_FALSE(config.tenants.contains("www"));
  CHECK_FALSE(config.tenants.contains("bad"));
  for (const auto *pool : {"[www]", "[bad]", "[nobody's] user", "[al.ice]", "[uid] user"}) {
    INFO(pool);
    CHECK(std::any_of(import.notes.begin(), import.notes.end(), [&](const auto &note) {
      return note.severity == FindingSeverity::kError && note.subject.find(pool) != std::string::npos;
    }));
  }
}

TEST_CASE("no directive of PHP-FPM 8.2 is dropped in silence") {
  // Each changes what Paddock makes of the pool, or is in the notes.
  const char *directives[] = {"prefix = /x",
                              "group = other",
                              "listen = 9000",
                              "listen.backlog = 511",
                              "listen.owner = x",
                              "listen.group = x",
                              "listen.mode = 0660",
                              "listen.acl_users = x",
                              "listen.acl_groups = x",
                              "listen.allowed_clients = 127.0.0.1",
                              "listen.setfib = 1",
                              "process.priority = -19",
                              "process.dumpable = yes",
                              "pm = static",
                              "pm.max_children = 9",
                              "pm.max_children = 999",
                              "pm.start_servers = 1",
                              "pm.min_spare_servers = 1",
                              "pm.max_spare_servers = 1",
                              "pm.max_spawn_rate = 1",
                              "pm.process_idle_timeout = 9s",
                              "pm.max_requests = 9",
                              "pm.status_path = /s",
                              "pm.status_listen = 9001",
                              "ping.path = /p",
                              "ping.response = pong",
                              "access.log = x",
                              "access.format = x",
                              "access.suppress_path[] = /p",
                              "slowlog = x",
                              "request_slowlog_timeout = 1",
                              "request_slowlog_trace_depth = 1",
                              "request_terminate_timeout = 1",
                              "request_terminate_timeout = soon",
                              "request_terminate_timeout_track_finished = yes",
                              "rlimit_files = 1",
                              "rlimit_core = 1",
                              "chroot = /x",
                              "chdir = /x",
                              "catch_workers_output = no",
                              "decorate_workers_output = no",
                              "clear_env = no",
                              "security.limit_extensions = .x",
                              "apparmor_hat = x",
                              "env[X] = $HOSTNAME",
                              "env[X] = y",
                              "php_value[a] = b",
                              "php_flag[a] = on",
                              "php_flag[a] = maybe",
                              "php_admin_value[a] = b",
                              "php_admin_flag[a] = on",
                              "php_admin_value[extension] = x.so",
                              "php_admin_value[error_reporting] = E_ALL & ~E_NOTICE",
                              "of_another_version = 1",
                              "of_another[version] = 1"};
  const auto plain = import_text("[alice]\nuser = alice\n");
  const auto everything = [](const Import &import) {
    std::string all = import.plans;
    for (const auto &tenant : import.tenants) all += tenant.toml;
    return all;
  };
  for (const auto *directive : directives) {
    INFO(directive);
    const auto import = import_text("[alice]\nuser = alice\n" + std::string(directive) + "\n");
    const std::string name(directive, std::strcspn(directive, " ["));
    CHECK((noted(import, name).has_value() || everything(import) != everything(plain)));
    config_of(import);
  }
}

TEST_CASE("no global directive is dropped in silence") {
  for (const auto *directive :
       {"pid", "error_log", "log_level", "syslog.facility", "process.max", "daemonize",
        "emergency_restart_threshold", "process_control_timeout", "unheard_of"}) {
    INFO(directive);
    CHECK(noted(import_text("[global]\n" + std::string(directive) + " = 1\n"), directive));
  }
}

TEST_CASE("hostile text stays text") {
  const auto import = import_text(
      "[alice]\nuser = alice\nenv[A] = \"x\\\" ]\"\nphp_value[a] = 'b\"\\'\n[x\\nuser = \"root\"]\nuser = "
      "alice\n");
  const auto config = config_of(import);
  CHECK(config.tenants.at("alice")->environment == std::vector<std::string>{"A=x\" ]"});
  for (const auto &[name, tenant] : config.tenants) CHECK(tenant->user == "alice");
}
