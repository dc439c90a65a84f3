#include "cli/import_fpm.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/log.h"
#include "policies/config_file.h"
#include "policies/entries.h"
#include "policies/units.h"

namespace paddock::cli {
namespace {

using control::FindingSeverity;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kMostWorkers = 256;  // paddock.toml(5)
constexpr auto kLost = FindingSeverity::kError;
constexpr auto kDiffers = FindingSeverity::kWarning;
constexpr auto kNotNeeded = FindingSeverity::kOk;

// The directives that always have the same fate. The others are in PoolImport.
struct Fate {
  std::string_view name;
  FindingSeverity severity;
  std::string_view why;
};
constexpr std::string_view kWorkersComeWithDemand =
    "workers come and go with demand, up to the plan's workers";
constexpr std::string_view kOneReader =
    "the sockets are reached by one account, [apache] user in paddock.toml, and by no other";
constexpr std::string_view kRlimit = "a cgroup limits the sandbox: memory_max, pids, tmp_size in the plan";
constexpr std::string_view kSupervisor = "paddockd does this itself";
constexpr std::string_view kJournal =
    "paddockd logs to the journal, or see paddockd --log-file and log_level in [runtime]";
constexpr auto kPoolFates = std::to_array<Fate>({
    {"prefix", kDiffers, "paths are taken as they are written; relative ones have to be made absolute"},
    {"listen.backlog", kDiffers, "the plan's queue and queue_time say how many requests wait, and how long"},
    {"listen.owner", kDiffers, kOneReader},
    {"listen.group", kDiffers, kOneReader},
    {"listen.mode", kDiffers, kOneReader},
    {"listen.acl_users", kDiffers, kOneReader},
    {"listen.acl_groups", kDiffers, kOneReader},
    {"listen.allowed_clients", kNotNeeded, "there is no TCP port to protect"},
    {"listen.setfib", kLost, "sockets are Unix sockets"},
    {"process.priority", kLost, "use the plan's cpu_weight"},
    {"process.dumpable", kLost, "nothing of the kind"},
    {"pm.start_servers", kNotNeeded, kWorkersComeWithDemand},
    {"pm.min_spare_servers", kNotNeeded, kWorkersComeWithDemand},
    {"pm.max_spare_servers", kNotNeeded, kWorkersComeWithDemand},
    {"pm.max_spawn_rate", kNotNeeded, kWorkersComeWithDemand},
    {"pm.status_listen", kLost,
     "the status page is at the tenant's socket; see `paddock status` and its --json too"},
    {"slowlog", kDiffers, "backtraces of slow requests are in the tenant's log"},
    {"request_slowlog_trace_depth", kDiffers, "the depth is fixed"},
    {"request_terminate_timeout_track_finished", kDiffers,
     "the plan's deadline is of the request as a whole, finished or not"},
    {"rlimit_files", kLost, kRlimit},
    {"rlimit_core", kLost, kRlimit},
    {"chroot", kDiffers, "the sandbox has a view of its own; paths in it are those of the host"},
    {"chdir", kDiffers, "a script starts in its own directory"},
    {"decorate_workers_output", kDiffers, "lines of the tenant's log are never decorated"},
    {"apparmor_hat", kLost, "the sandbox confines the tenant; AppArmor is not asked to"},
});
constexpr auto kGlobalFates = std::to_array<Fate>({
    {"pid", kNotNeeded, kSupervisor},
    {"daemonize", kNotNeeded, kSupervisor},
    {"systemd_interval", kNotNeeded, kSupervisor},
    {"events.mechanism", kNotNeeded, kSupervisor},
    {"emergency_restart_threshold", kDiffers, "emergency_restart of a plan, 10 unless it says otherwise"},
    {"emergency_restart_interval", kDiffers,
     "emergency_restart_interval of a plan, 1m unless it says otherwise"},
    {"error_log", kDiffers, kJournal},
    {"log_level", kDiffers, kJournal},
    {"log_limit", kDiffers, "lines of a tenant's log are cut at a fixed length"},
    {"log_buffering", kNotNeeded, "lines of a tenant's log are never held back"},
    {"syslog.facility", kDiffers, kJournal},
    {"syslog.ident", kDiffers, kJournal},
    {"process_control_timeout", kDiffers, "set stop_patience in [runtime] of paddock.toml"},
    {"process.max", kLost, "each plan has its workers; nothing limits their sum"},
    {"process.priority", kLost, "use the plans' cpu_weight"},
    {"rlimit_files", kLost, kRlimit},
    {"rlimit_core", kLost, kRlimit},
});

template <typename Fates>
const Fate *fate_of(const Fates &fates, std::string_view name) {
  const auto found =
      std::find_if(fates.begin(), fates.end(), [&](const Fate &fate) { return fate.name == name; });
  return found == fates.end() ? nullptr : &*found;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Debian has the pools of each PHP in a directory of its own, /etc/php/8.2/fpm; empty: it is none of them.
std::string php_of(std::string_view file) {
  constexpr std::string_view kParent = "/etc/php/";
  if (!file.starts_with(kParent)) return {};
  file.remove_prefix(kParent.size());
  const std::string_view version = file.substr(0, file.find('/'));
  return file.substr(version.size()).starts_with("/fpm/") ? std::string(version) : std::string();
}

std::string toml_key(std::string_view key) {
  return policies::is_bare_key(key) ? std::string(key) : toml_string(key);
}

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "30", "30s", "5m", "1h", "1d" (fpm_conf_set_time).
std::optional<milliseconds> time_of(std::string_view text) {
  std::int64_t unit = 1;
  if (!text.empty()) {
    constexpr std::string_view kUnits = "smhd";
    constexpr std::array<std::int64_t, 4> kSeconds = {1, 60, 3600, 86'400};
    if (const std::size_t at = kUnits.find(text.back()); at != std::string_view::npos) {
      unit = kSeconds[at];
      text.remove_suffix(1);
    }
  }
  const auto number = number_of(text);
  if (!number) return std::nullopt;
  return seconds(static_cast<std::int64_t>(*number) * unit);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char &c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// A pool's name as a tenant's.
std::string tenant_name(std::string_view pool) {
  std::string name = lower(pool.substr(0, 63));
  for (char &c : name)
    if (!policies::is_valid_name(std::string("a") + c)) c = '-';
  if (!name.empty() && !policies::is_valid_name(name)) name.front() = 'x';
  return name;
}

using Entries = std::vector<std::pair<std::string, std::string>>;

void set(Entries &entries, const std::string &name, const std::string &value) {
  std::erase_if(entries, [&](const auto &entry) { return entry.first == name; });
  entries.emplace_back(name, value);
}

void write_table(std::ostream &out, const std::string &title, const Entries &entries) {
  if (entries.empty()) return;
  out << "\n[" << title << "]\n";
  for (const auto &[name, value] : entries) out << toml_key(name) << " = " << toml_string(value) << '\n';
}

// One pool.
class PoolImport {
 public:
  PoolImport(const FpmPool &pool, const policies::Machine &machine, std::vector<control::Finding> &notes)
      : pool_(pool), machine_(machine), notes_(notes), name_(tenant_name(pool.name)) {
    for (const auto &directive : pool.directives) take(directive);
    if (name_ != pool.name)
      note({pool.where.file, pool.where.line, 1}, "name", kDiffers, "the tenant is called " + name_);
    if (user_.empty()) note(pool.where, "user", kLost, "the pool names no user; a tenant is a user");
    finish_plan();
  }

  [[nodiscard]] const std::string &name() const { return name_; }
  [[nodiscard]] const policies::Location &where() const { return pool_.where; }
  [[nodiscard]] std::string plan_text() const {
    std::ostringstream out;
    for (const auto &[key, value] : plan_) out << key << " = " << value << '\n';
    return out.str();
  }
  [[nodiscard]] std::string tenant_text(const std::string &plan) const {
    const std::string title = "tenant." + toml_key(name_);
    std::ostringstream out;
    out << "# PHP-FPM's pool [" << printable_name() << "], " << log::quoted(pool_.where.to_string()) << '\n'
        << "[" << title << "]\n"
        << "user = " << toml_string(user_) << "\nplan = " << toml_string(plan) << '\n';
    if (const std::string php = php_of(pool_.where.file); php != policies::Runtime().php && !php.empty())
      out << "php = " << toml_string(php) << '\n';
    write_table(out, title + ".php_value", values_);
    write_table(out, title + ".php_admin_value", admin_values_);
    write_table(out, title + ".env", environment_);
    return out.str();
  }

 private:
  [[nodiscard]] std::string printable_name() const {
    const std::string quoted = log::quoted(pool_.name);
    return quoted.substr(1, quoted.size() - 2);
  }

  void note(const policies::Location &where, const std::string &what, FindingSeverity severity,
            std::string message) {
    notes_.push_back(
        {severity, where.to_string() + ": [" + pool_.name + "] " + what, std::move(message), ""});
  }
  void note(const FpmDirective &directive, FindingSeverity severity, std::string message) {
    note(directive.where, directive.title() + " = " + directive.value, severity, std::move(message));
  }

  void take(const FpmDirective &directive) {
    const std::string &name = directive.name;
    if (!directive.key.empty()) return take_keyed(directive);
    if (const Fate *fate = fate_of(kPoolFates, name))
      return note(directive, fate->severity, std::string(fate->why));
    if (name == "user") return take_user(directive);
    if (name == "group") {
      group_ = &directive;
    } else if (name == "listen") {
      note(directive, kDiffers,
           "the tenant has a socket of its own: `paddock vhost " + name_ + "` prints the web server's lines");
    } else if (name == "pm") {
      manager_ = &directive;
    } else if (name == "pm.max_children") {
      children_ = &directive;
    } else if (name == "pm.process_idle_timeout") {
      idle_ = &directive;
    } else if (name == "pm.max_requests") {
      requests_ = &directive;
    } else if (name == "request_terminate_timeout") {
      deadline_ = &directive;
    } else if (name == "request_slowlog_timeout") {
      slow_ = &directive;
    } else if (name == "catch_workers_output") {
      if (directive.value != "1")
        note(directive, kDiffers, "what workers print always goes to the tenant's log");
    } else if (name == "clear_env") {
      if (directive.value == "1") return;
      plan_.emplace_back("clear_env", "false");
      note(directive, kDiffers, "the environment is paddockd's, without what is root's or the service's own");
    } else if (const auto page = plan_text_of(name); !page.empty()) {
      plan_.emplace_back(page, toml_string(directive.value));
    } else if (name == "access.suppress_path") {
      suppressed_.push_back(directive.value);
    } else if (name == "access.log") {
      plan_.emplace_back("access_log", "true");
      note(directive, kDiffers, "the log is in log_dir/access/" + name_ + ".log");
    } else if (name == "security.limit_extensions") {
      set(admin_values_, "paddock.limit_extensions", directive.value);
    } else {
      note(directive, kLost, "PHP-FPM 8.2 has no such directive");
    }
  }

  void take_keyed(const FpmDirective &directive) {
    const std::string &name = directive.name;
    if (name == "env") {
      if (directive.value.starts_with('$'))
        note(directive, kDiffers, "taken over; the variable is looked up in paddockd's environment");
      return set(environment_, directive.key, directive.value);
    }
    const bool flag = name == "php_flag" || name == "php_admin_flag";
    const bool admin = name == "php_admin_value" || name == "php_admin_flag";
    if (!flag && !admin && name != "php_value") {
      if (const Fate *fate = fate_of(kPoolFates, name))
        return note(directive, fate->severity, std::string(fate->why));
      return note(directive, kLost, "PHP-FPM 8.2 has no such directive");
    }
    if (flag && directive.value != "1" && !directive.value.empty() && directive.value != "0")
      return note(directive, kLost, "neither on nor off; PHP-FPM does not start with it");
    if (directive.key == "extension" || directive.key == "zend_extension")
      return note(directive, kLost,
                  "extensions are loaded once for all tenants of a PHP, by its ini_dir; another set of them "
                  "is another [php.NAME]");
    if (directive.value.starts_with('/'))
      note(
          directive, kDiffers,
          "taken over; the path means what the sandbox sees there: the home, /tmp of its own, /usr, and what "
          "the tenant's binds add");
    // FPM's list is applied in its order, whatever the kind; an admin value stays.
    if (!admin) return set(values_, directive.key, flag && directive.value != "1" ? "0" : directive.value);
    set(admin_values_, directive.key, flag && directive.value != "1" ? "0" : directive.value);
  }

  void take_user(const FpmDirective &directive) {
    user_ = directive.value;
    if (!number_of(user_)) return;
    note(directive, kLost, "a uid; write the account's name as user in [tenant." + name_ + "]");
  }

  void plan_number(const FpmDirective *from, const char *key, std::uint32_t most) {
    if (from == nullptr) return;
    const auto number = number_of(from->value);
    if (!number) return note(*from, kLost, "not a number");
    if (*number > most)
      note(*from, kDiffers, "at most " + std::to_string(most) + " in Paddock, which is set");
    plan_.emplace_back(key, std::to_string(std::min(*number, most)));
  }

  void finish_plan() {
    plan_number(children_, "workers", kMostWorkers);
    if (requests_ != nullptr)
      plan_number(requests_, "requests_per_worker", UINT32_MAX);
    else
      plan_.emplace_back("requests_per_worker", "0");
    const std::string manager = manager_ == nullptr ? "" : manager_->value;
    if (manager == "static") {
      plan_.emplace_back("idle", "0");
      note(*manager_, kDiffers,
           "idle = 0: once started, the sandbox stays; its workers come with demand, not all at once");
    } else if (manager == "ondemand") {
      const auto idle = idle_ == nullptr ? seconds(10) : time_of(idle_->value);
      if (idle)
        plan_.emplace_back("idle", toml_string(policies::format_duration(*idle)));
      else
        note(*idle_, kLost, "not a time");
    } else if (manager_ != nullptr) {
      note(*manager_, kDiffers,
           "the plan's idle time (60s) after its last request, the whole sandbox is gone");
    }
    if (idle_ != nullptr && manager != "ondemand")
      note(*idle_, kNotNeeded, "PHP-FPM heeds it with pm = ondemand only");
    if (deadline_ == nullptr) {
      note(pool_.where, "request_terminate_timeout", kDiffers,
           "not set: endless in PHP-FPM, while the plan's deadline is 5m; set deadline to change that");
    } else if (const auto deadline = time_of(deadline_->value)) {
      plan_.emplace_back("deadline", toml_string(policies::format_duration(*deadline)));
    } else {
      note(*deadline_, kLost, "not a time");
    }
    if (slow_ != nullptr) {
      if (const auto slow = time_of(slow_->value))
        plan_.emplace_back("slow_log", toml_string(policies::format_duration(*slow)));
      else
        note(*slow_, kLost, "not a time");
    }
    if (!suppressed_.empty()) {
      std::string all;
      for (const std::string &path : suppressed_) all += (all.empty() ? "" : ", ") + toml_string(path);
      plan_.emplace_back("access_suppress", "[" + all + "]");
    }
    check_group();
  }

  // Directives whose text is the plan's own.
  static std::string plan_text_of(std::string_view name) {
    constexpr auto kSame = std::to_array<std::pair<std::string_view, const char *>>({
        {"pm.status_path", "status_path"},
        {"ping.path", "ping_path"},
        {"ping.response", "ping_response"},
        {"access.format", "access_format"},
    });
    for (const auto &[fpm, ours] : kSame)
      if (name == fpm) return ours;
    return {};
  }

  void check_group() {
    if (group_ == nullptr) return;
    const auto account = machine_.account(user_);
    const auto group = machine_.group(group_->value);
    if (account && account->has_value() && group && group->has_value() && (*account)->gid == **group) return;
    note(*group_, kDiffers, "a tenant has its account's own group, whatever that is, and no other");
  }

  const FpmPool &pool_;
  const policies::Machine &machine_;
  std::vector<control::Finding> &notes_;
  std::string name_;
  std::string user_;
  const FpmDirective *group_ = nullptr;
  const FpmDirective *manager_ = nullptr;
  const FpmDirective *children_ = nullptr;
  const FpmDirective *idle_ = nullptr;
  const FpmDirective *requests_ = nullptr;
  const FpmDirective *deadline_ = nullptr;
  const FpmDirective *slow_ = nullptr;
  Entries plan_;  // keys and their TOML values
  Entries values_;
  Entries admin_values_;
  Entries environment_;
  std::vector<std::string> suppressed_;
};

// What is wrong with plan and tenant as the supervisor would read them; empty: nothing.
std::string config_problem(const std::string &text, const policies::Machine &machine) {
  for (const auto &found : policies::parse_config(text, "", machine).diagnostics)
    if (found.severity == policies::Severity::kError && found.where.line > 0) return found.explanation();
  return {};
}

std::string as_comment(const std::string &text) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    out += (line.starts_with('#') ? line : "#" + line) + "\n";
  return out;
}

}  // namespace

Import import_fpm(const FpmConfig &fpm, const policies::Machine &machine) {
  Import all;
  for (const auto &directive : fpm.global) {
    const Fate *fate = fate_of(kGlobalFates, directive.name);
    all.notes.push_back(
        {fate == nullptr ? kLost : fate->severity,
         directive.where.to_string() + ": [global] " + directive.title() + " = " + directive.value,
         fate == nullptr ? "PHP-FPM 8.2 has no such directive" : std::string(fate->why), ""});
  }
  for (const auto &unread : fpm.unread)
    all.notes.push_back(
        {kLost, unread.where.to_string() + ": [" + unread.pool + "] " + unread.line, unread.why, ""});

  std::map<std::string, std::string> plans;  // their text, and their names
  std::set<std::string> names;
  for (const auto &pool : fpm.pools) {
    const PoolImport imported(pool, machine, all.notes);
    const std::string subject = pool.where.to_string() + ": [" + pool.name + "]";
    if (!names.insert(imported.name()).second || imported.name().empty()) {
      all.notes.push_back(
          {kLost, subject, "another pool has become the tenant " + imported.name(), "rename one"});
      continue;
    }
    const std::string text = imported.plan_text();
    const auto [plan, fresh] = plans.emplace(text, ("fpm-" + imported.name()).substr(0, 63));
    const std::string plan_toml = "[plan." + toml_key(plan->second) + "]\n" + text;
    if (fresh) all.plans += (all.plans.empty() ? "" : "\n") + plan_toml;
    ImportedTenant tenant{imported.name(), imported.tenant_text(plan->second)};
    if (const auto problem = config_problem(plan_toml + tenant.toml, machine); !problem.empty()) {
      tenant.usable = false;
      tenant.toml = "# Left out: " + problem + "\n" + as_comment(tenant.toml);
      all.notes.push_back({kLost, subject, "the tenant is left out, as comments: " + problem, ""});
    }
    all.tenants.push_back(std::move(tenant));
  }
  return all;
}

}  // namespace paddock::cli
