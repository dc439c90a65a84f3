// What the admin wrote, checked and with its defaults: plans, tenants, directories.
//
// A Config is only ever made by load_config() (policies/config_file.h), so that whoever holds one holds a
// valid one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ipv4.h"
#include "rules/rule.h"

namespace paddock::policies {

// More than the variables of any request are anyway: fastcgi::Limits::params_bytes.
inline constexpr std::uint64_t kMostHeaderBytes = 1ULL << 20;

// Where in which file something was written: "/etc/paddock/paddock.toml:12:3".
struct Location {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  [[nodiscard]] std::string to_string() const;
};

// What PHP_VALUE and PHP_ADMIN_VALUE from the web server may do to a tenant's ini.
enum class IniFromWeb : std::uint8_t { kNone = 0, kValue = 1, kAdmin = 2 };

struct IniEntry {
  std::string name;
  std::string value;
  bool admin = false;  // the tenant's code and files cannot change it
};

// A host path that the view shows beyond the home.
struct Bind {
  std::string source;
  std::string target;  // in the view; the same path where the config names none
  bool writable = false;
  bool noexec = false;
  bool nosuid = true;
  bool nodev = true;
  bool optional = false;  // left out while the host has no such path
  Location where;
};

// Leave for a setting that weakens the sandbox (policies/grants.h).
struct Grant {
  std::string name;
  std::string reason;
  Location where;
};

// Who a tenant's mail comes from, as the envelope says.
enum class MailSender : std::uint8_t {
  kAccount = 0,  // the account, at this host
  kAny = 1,      // whom the script names, where it names somebody
};

struct MailLimits {
  std::uint32_t per_hour = 200;  // recipients; 0: no mail
  std::uint64_t message_bytes = 25ULL << 20;
  std::uint32_t recipients = 50;  // of one message
  MailSender sender = MailSender::kAny;
};

enum class Network : std::uint8_t {
  kHost = 0,  // the host's
  kNone = 1,  // loopback of its own, and nothing else
  kNat = 2,   // addresses of its own, the world by way of the host's
};

// What Network::kNat lets through.
struct Egress {
  std::vector<std::uint16_t> closed_ports = {25, 465, 587};
  std::vector<Ipv4Endpoint> allowed;   // empty: everywhere
  std::vector<Ipv4Endpoint> services;  // of the host
  std::uint32_t new_per_second = 50;   // connections of a tenant; 0: any number
};

// Of all tenants with Network::kNat.
struct NatSettings {
  Ipv4Range range{0x0AD50000, 16};        // 10.213.0.0/16
  std::optional<std::uint32_t> resolver;  // the host's own where the config names none

  // Beside the tenants': the range's first and last, and the gateway's.
  static constexpr std::uint32_t kOtherAddresses = 3;
};

// A device's share of io.max (cgroup-v2.rst, "io.max"); an absent figure is unlimited.
struct IoLimit {
  std::string device;  // a path: a block device, or a file on the filesystem whose device is meant
  std::optional<std::uint64_t> read_bytes_per_s;
  std::optional<std::uint64_t> write_bytes_per_s;
  std::optional<std::uint64_t> read_ops_per_s;
  std::optional<std::uint64_t> write_ops_per_s;
  std::optional<std::uint32_t> weight;  // 1 to 10000
  Location where;
};

// What the cgroup enforces. Absent: the kernel's default ("max", weight 100).
struct Limits {
  std::optional<std::uint32_t> cpu_percent;  // of one core: 150 is one and a half
  std::optional<std::uint32_t> cpu_weight;   // 1 to 10000
  std::optional<std::uint64_t> memory_high;  // bytes
  std::optional<std::uint64_t> memory_max;
  std::optional<std::uint64_t> swap_max;
  std::optional<std::uint32_t> pids_max;
  std::optional<std::uint32_t> io_weight;  // 1 to 10000
  std::vector<IoLimit> io;
  std::map<std::string, Location> where;  // of those above that the config sets, by key: "memory_max"
};

// How a tenant's requests are served, beyond ini entries.
struct Serving {
  bool htaccess = true;               // php_value and its kin in .htaccess files are obeyed
  std::chrono::milliseconds slow{0};  // a request that runs so long has its backtrace logged; 0: never
  std::uint32_t repairs = 31;         // zygote_link::Repair bits, in the order of kRepairs
  std::string status_path;            // empty: no such page
  std::string ping_path;
  std::string ping_response = "pong";
  // PHP-FPM's access log, in log_dir/access/NAME.log.
  bool access_log = false;
  std::string access_format = "%R - %u %t \"%m %r%Q%q\" %s";
  std::vector<std::string> access_suppress;  // SCRIPT_NAMEs
};

struct Plan {
  std::string name;
  Location where;
  Limits limits;
  std::uint16_t workers = 4;
  std::chrono::milliseconds idle{60'000};  // a sandbox without a request for that long is stopped; 0: never
  std::uint32_t requests_per_worker = 10'000;  // 0: never replaced
  // So many workers that crash within the interval end the sandbox; 0: none do.
  std::uint32_t emergency_restart = 10;
  std::chrono::milliseconds emergency_restart_interval{60'000};
  // Requests that may wait beyond those in workers. A tenant can hold workers + queue of the web server's
  // threads, so that sum stays far below MaxRequestWorkers.
  std::uint32_t queue = 16;
  std::chrono::milliseconds queue_time{10'000};
  // Clients that do not send their requests or do not read the answers. They hold no worker, but threads of
  // the web server.
  std::uint32_t slow_clients = 64;
  std::chrono::milliseconds receive_time{60'000};  // for a request to come; each 500 bytes earn a second
  std::uint64_t header_bytes =
      kMostHeaderBytes;                         // of one request, with the variables that the web server adds
  std::uint64_t body_bytes = 1ULL << 30;        // of one request; 0: any
  std::uint64_t spool_bytes = 2ULL << 30;       // on disk, of all slow requests at once
  std::chrono::milliseconds send_time{60'000};  // in which a client has to take a part of its answer
  std::uint64_t unread_bytes = 64ULL << 20;     // in memory, of all answers that wait for their clients
  std::chrono::milliseconds deadline{300'000};  // of a running request; 0: none
  std::uint64_t tmp_bytes = 256ULL << 20;
  std::uint64_t log_bytes = 64ULL << 20;  // of the tenant's log, between two rotations; 0: any
  std::string php;                        // Php::name; empty: Runtime::php
  std::string seccomp = "default";        // the name of a profile
  std::shared_ptr<const std::string>
      seccomp_filter;             // the profile compiled: an array of sock_filter; never null
  bool seccomp_learning = false;  // what the profile does not know runs, and is logged
  Network network = Network::kHost;
  Egress egress;
  std::uint32_t opcache_mib = 0;  // opcache.memory_consumption; 0: what php.ini says
  std::chrono::milliseconds opcache_keep = std::chrono::hours(1);  // it outlives an idle sandbox so long
  bool opcache_files = false;  // and is kept in files of the tenant's, over everything
  bool own_start = false;      // a start of PHP for each sandbox, in place of a clone of the common one
  IniFromWeb ini_from_web = IniFromWeb::kValue;
  Serving serving;
  MailLimits mail;
  std::vector<IniEntry> ini;
  bool clear_env = true;                 // else the supervisor's own environment comes first
  std::vector<std::string> environment;  // NAME=value, or NAME=$OTHER: a variable of the supervisor's
  std::vector<Bind> binds;
  std::vector<Grant> grants;
};

// What answers a tenant's requests.
enum class Kind : std::uint8_t { kPhp = 0, kFastcgi = 1, kCgi = 2 };

struct Program {
  Kind kind = Kind::kPhp;
  std::vector<std::string> command;  // of kFastcgi: path and arguments; empty: the script itself
  std::string listen;                // where the command listens; empty: at its descriptor 0
};
// "php", "cgi", "fastcgi", and "command" for one that has a command.
[[nodiscard]] constexpr std::string_view name_of(const Program &program) {
  if (program.kind == Kind::kPhp) return "php";
  if (program.kind == Kind::kCgi) return "cgi";
  return program.command.empty() ? "fastcgi" : "command";
}

// A PHP that sandboxes are cloned from. Several stand side by side: versions, or sets of extensions.
struct Php {
  std::string name;     // "8.2", or as the config calls it
  std::string program;  // empty: paddock-phpNAME, where Paddock's other programs are
  std::string ini_dir;  // php.ini and conf.d as the zygote reads them

  auto operator<=>(const Php &) const = default;
};

struct Tenant {
  std::string name;
  Location where;
  std::string user;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
  std::string plan;
  std::string php;  // Php::name; empty: the plan's
  Program program;
  std::vector<IniEntry> ini;             // after the plan's
  std::vector<std::string> environment;  // after the plan's
  std::vector<Bind> binds;               // after the plan's
  std::vector<Grant> grants;             // beside the plan's
  // Why this tenant cannot run (no such user, no home); the others run. Empty: it can.
  std::string problem;
};

// An abuse rule, and where it was written.
struct RuleEntry {
  rules::Rule rule;
  Location where;
};
// Sends a rule's webhook, as a child program without rights.
inline constexpr const char *kWebhookProgram = "/usr/bin/curl";

struct Runtime {
  std::string run_dir = "/run/paddock";
  std::string state_dir = "/var/lib/paddock";
  std::string log_dir = "/var/log/paddock";
  std::string log_level = "info";  // debug, info, warning, error
  std::string gateway_user = "paddock-gateway";
  uid_t gateway_uid = 0;
  gid_t gateway_gid = 0;
  std::string admin_group;  // may use the control socket beside root; empty: root only
  std::optional<gid_t> admin_gid;
  // Runs the rules' commands and sends their webhooks. Known (not uid 0) where a rule has one.
  std::string notify_user = "nobody";
  uid_t notify_uid = 0;
  gid_t notify_gid = 0;
  // How often a plan's tenants together may be promised the machine's memory and CPUs before that is warned
  // about; 0: never warned.
  double overcommit_memory = 10;
  double overcommit_cpu = 50;
  // How long history.db keeps the use of each minute, hour and day, and events.
  std::chrono::hours keep_minutes{48};
  std::chrono::hours keep_hours = std::chrono::days(60);
  std::chrono::hours keep_days = std::chrono::days(5 * 365);
  std::chrono::hours keep_events = std::chrono::days(365);
  std::string cgroup;  // below the cgroup2 mount; empty: the supervisor's own
  bool allow_missing_controllers = false;
  std::string php = "8.2";    // Php::name of tenants whose plan names none
  std::string php_ini_dir;    // of that one; empty: /etc/php/NAME/embed, as for all others
  std::string seccomp_dir;    // profiles of the admin's own, before the shipped ones; empty: none
  bool reason_header = true;  // X-Paddock-Reason on what is refused
  std::string refusal_page;   // the admin's page, read from the file that the config names; empty: built in
  std::optional<std::uint64_t> opcache_kept;  // bytes, of all; absent: an eighth of the host's memory
  std::chrono::milliseconds stop_patience{
      10'000};  // running requests may take so long when a sandbox is stopped

  // Directories that no sandbox is shown, nor anything below or above them.
  [[nodiscard]] std::vector<std::string> hidden() const { return {run_dir, state_dir, log_dir}; }
};

// The dashboard, and /metrics.
struct Dashboard {
  std::string listen;  // "127.0.0.1:9180"; empty: there is none
  std::string user = "paddock-dashboard";
  bool start = true;  // by paddockd; else by somebody else, as its own unit does
  uid_t uid = 0;      // 0: there is no dashboard
  gid_t gid = 0;
  std::string public_url;  // where browsers find it, if not at listen: "https://example.org/paddock"
  std::string token_file;  // hashes of the tokens that may log in; empty: state_dir/dashboard.tokens
};

// Of which events somebody is told, and how.
struct Notify {
  std::vector<std::string> events;   // kinds (rules/event_names.h)
  std::vector<std::string> command;  // a program and its arguments
  std::string webhook;               // a URL
  std::string mail;                  // an address
  std::string mail_server = "smtp://127.0.0.1";
  std::chrono::seconds every{300};   // of a kind and tenant one at most
  std::uint32_t most_per_hour = 30;  // of all together

  [[nodiscard]] bool wanted() const { return !command.empty() || !webhook.empty() || !mail.empty(); }
};

// The mail broker.
struct Mail {
  std::vector<std::string> command;  // the host's MTA; empty: there is no broker
  std::string user = "paddock-mail";
  uid_t uid = 0;  // 0: there is no broker
  gid_t gid = 0;
};

struct Config {
  std::string file;                   // the main one
  std::vector<std::string> files;     // all that were read, the main one first
  std::vector<std::string> includes;  // the patterns (glob(7)) of the others, absolute
  Runtime runtime;
  std::string apache_user = "www-data";
  uid_t apache_uid = 0;
  gid_t apache_gid = 0;
  std::uint32_t apache_requests = 0;  // of all tenants together, those that run included; 0: any number
  Dashboard dashboard;
  Notify notify;
  Mail mail;
  NatSettings nat;
  std::map<std::string, Plan> plans;  // "default" always exists
  // Never null. Shared with who goes by a tenant's settings after others have taken their place here.
  std::map<std::string, std::shared_ptr<const Tenant>> tenants;
  std::map<std::string, RuleEntry> rules;
  std::map<std::string, Php, std::less<>> phps;  // [php.NAME]; others have php()'s defaults

  [[nodiscard]] const Plan &plan_of(const Tenant &tenant) const { return plans.at(tenant.plan); }
  [[nodiscard]] Php php(const std::string &name) const;
  [[nodiscard]] Php default_php() const { return php(runtime.php); }
  [[nodiscard]] Php php_of(const Tenant &tenant) const {
    const std::string &of_plan = plan_of(tenant).php;
    return php(!tenant.php.empty() ? tenant.php : !of_plan.empty() ? of_plan : runtime.php);
  }
  // The default one, and those of tenants.
  [[nodiscard]] std::set<Php> phps_in_use() const;
};

}  // namespace paddock::policies
