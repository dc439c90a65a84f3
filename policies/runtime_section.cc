#include "policies/runtime_section.h"

#include "base/log.h"
#include "policies/socket_path.h"

namespace paddock::policies {
namespace {

constexpr std::uint64_t kMostKept = 1ULL << 50;
constexpr std::uint64_t kMostRequests = 1'000'000;
constexpr std::size_t kLargestPage = 16 * 1024;  // gateway_link::Refusal::page

std::optional<Account> required_account(Section &section, std::string_view key, const std::string &user,
                                        const Machine &machine) {
  const auto account = machine.account(user);
  if (!account) {
    section.fail(key, "user " + log::quoted(user) + ": " + account.error().message());
    return std::nullopt;
  }
  if (!account->has_value()) section.fail(key, "user " + log::quoted(user) + " does not exist", "an account");
  return *account;
}

void read_directory(Section &section, std::string_view key, std::string &to) {
  const auto path = section.path(key);
  if (!path) return;
  if (*path == "/") {
    section.fail(key, "the root directory", "a directory of Paddock's own");
  } else {
    to = *path;
  }
}

void read_group(Section &section, const Machine &machine, Runtime &runtime) {
  const auto name = section.text("admin_group");
  if (!name || name->empty()) return;
  runtime.admin_group = *name;
  const auto gid = machine.group(*name);
  if (!gid) {
    section.fail("admin_group", "group " + log::quoted(*name) + ": " + gid.error().message());
  } else if (!gid->has_value()) {
    section.fail("admin_group", "group " + log::quoted(*name) + " does not exist", "a group, or \"\"");
  } else {
    runtime.admin_gid = *gid;
  }
}

void read_page(Section &section, const Machine &machine, Runtime &runtime) {
  const auto path = section.path("refusal_page");
  if (!path) return;
  auto page = machine.read(*path, kLargestPage);
  if (page) {
    runtime.refusal_page = std::move(*page);
  } else {
    section.fail("refusal_page", page.error().message(), "a readable file of at most 16 KiB");
  }
}

void read_history(Section &section, Runtime &runtime) {
  const auto read = [&section](std::string_view key, std::chrono::hours &to) {
    if (const auto kept = section.duration(key, std::chrono::hours(1), std::chrono::days(365 * 20)))
      to = std::chrono::duration_cast<std::chrono::hours>(*kept);
  };
  read("keep_minutes", runtime.keep_minutes);
  read("keep_hours", runtime.keep_hours);
  read("keep_days", runtime.keep_days);
  read("keep_events", runtime.keep_events);
}

void read_cgroup(Section &section, Runtime &runtime) {
  const auto path = section.text("cgroup");
  if (!path) return;
  if (!path->empty() && (path->size() > 255 || !is_plain_absolute_path("/" + *path))) {
    section.fail("cgroup", "wrong value", "a path below the cgroup2 mount such as \"paddock.slice\"",
                 "string " + log::quoted(*path, 64));
  } else {
    runtime.cgroup = *path;
  }
}

}  // namespace

void read_directories(Section &section, Runtime &runtime) {
  read_directory(section, "run_dir", runtime.run_dir);
  read_directory(section, "state_dir", runtime.state_dir);
  read_directory(section, "log_dir", runtime.log_dir);
}

void read_runtime(Section &section, const Machine &machine, Runtime &runtime) {
  read_directories(section, runtime);
  static const std::vector<std::string> kLevels = {"debug", "info", "warning", "error"};
  if (const auto level = section.choice("log_level", kLevels)) runtime.log_level = kLevels[*level];
  if (const auto user = section.text("gateway_user")) runtime.gateway_user = *user;
  if (const auto user = section.text("notify_user")) runtime.notify_user = *user;
  if (const auto factor = section.figure("overcommit_memory", false)) runtime.overcommit_memory = *factor;
  if (const auto factor = section.figure("overcommit_cpu", false)) runtime.overcommit_cpu = *factor;
  read_history(section, runtime);
  read_group(section, machine, runtime);
  read_cgroup(section, runtime);
  if (const auto allow = section.boolean("allow_missing_controllers"))
    runtime.allow_missing_controllers = *allow;
  if (const auto php = section.text("php")) runtime.php = *php;
  read_directory(section, "php_ini_dir", runtime.php_ini_dir);
  read_directory(section, "seccomp_dir", runtime.seccomp_dir);
  read_page(section, machine, runtime);
  if (const auto tell = section.boolean("reason_header")) runtime.reason_header = *tell;
  if (const auto kept = section.bytes("opcache_kept", 0, kMostKept)) runtime.opcache_kept = *kept;
  using std::chrono::milliseconds;
  if (const auto patience = section.duration("stop_patience", milliseconds(0), std::chrono::minutes(10)))
    runtime.stop_patience = *patience;
  section.finish();

  if (longest_name(runtime) < 1)
    section.fail("run_dir", "too long: no socket's path would fit into sockaddr_un (unix(7), 107 bytes)",
                 "at most " +
                     std::to_string(static_cast<int>(runtime.run_dir.size()) + longest_name(runtime) - 1) +
                     " bytes");
  if (const auto account = required_account(section, "gateway_user", runtime.gateway_user, machine)) {
    runtime.gateway_uid = account->uid;
    runtime.gateway_gid = account->gid;
    if (account->uid == 0) section.fail("gateway_user", "is uid 0", "an account without rights of its own");
  }
}

void read_apache(Section &section, const Machine &machine, Config &config) {
  if (const auto user = section.text("user")) config.apache_user = *user;
  if (const auto most = section.integer("requests", 0, kMostRequests))
    config.apache_requests = static_cast<std::uint32_t>(*most);
  section.finish();
  if (const auto account = required_account(section, "user", config.apache_user, machine)) {
    config.apache_uid = account->uid;
    config.apache_gid = account->gid;
  }
}

}  // namespace paddock::policies
