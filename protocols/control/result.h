// What the supervisor answers. Each struct's fields() lists its members as JSON has them; encoding and
// decoding both follow it.
//
// Text from sandboxes (methods, URIs, scripts) is as the tenant's processes wrote it: JSON escapes it,
// whoever prints it must too. Bytes that are not UTF-8 become U+FFFD.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace paddock::control {

enum class TenantState : std::uint8_t {
  kStopped,  // no process; the next request starts one
  kStarting,
  kRunning,
  kStopping,  // running requests may finish
  kFrozen,
  kBlocked,
  kBackingOff,  // failed to start or died too often; will be tried again
  kUnusable,    // its user or home is missing: TenantStatus::problem
};
inline constexpr std::array<std::string_view, 8> kTenantStates = {
    "stopped", "starting", "running", "stopping", "frozen", "blocked", "backing-off", "unusable"};
[[nodiscard]] constexpr std::string_view name_of(TenantState state) {
  return kTenantStates[static_cast<std::size_t>(state)];
}

// A request that a worker executes now, as its scoreboard slot says.
struct RunningRequest {
  std::int32_t pid = 0;  // in the sandbox's pid namespace
  std::string method;
  std::string uri;
  std::string script;
  std::uint64_t age_ms = 0;
  // That its worker has of its own. Only where one tenant's status was asked for.
  std::optional<std::uint64_t> memory_bytes;

  template <typename Io>
  void fields(Io &io) {
    io("pid", pid);
    io("method", method);
    io("uri", uri);
    io("script", script);
    io("age_ms", age_ms);
    io("memory_bytes", memory_bytes);
  }
};

// Leave for a setting that weakens the sandbox.
struct Grant {
  std::string name;
  std::string reason;

  template <typename Io>
  void fields(Io &io) {
    io("name", name);
    io("reason", reason);
  }
};

// Why requests were refused (gateway_link.h, and the reasons of blocks and failures): X-Paddock-Reason.
struct RefusedFor {
  std::string reason;
  std::uint64_t requests = 0;

  template <typename Io>
  void fields(Io &io) {
    io("reason", reason);
    io("requests", requests);
  }
};

// Absent figures are not known: no sandbox runs, or the host lacks the controller.
struct TenantStatus {
  std::string name;
  std::string user;
  std::uint32_t uid = 0;
  std::string plan;
  std::string php;  // as the config calls it: "8.2"
  TenantState state = TenantState::kStopped;
  std::string problem;  // why it is unusable, backing off or degraded; may be empty
  std::string block_reason;
  std::optional<std::int64_t> block_until;  // seconds since the epoch
  std::string throttled_to;                 // the plan whose limits hold in place of its own
  std::optional<std::int64_t> throttled_until;
  std::optional<std::int64_t> started_at;  // of the sandbox, seconds since the epoch
  std::optional<std::int32_t> keeper_pid;  // its pid 1, by its number on the host
  std::uint32_t workers = 0;
  std::uint32_t workers_max = 0;
  std::uint32_t busy = 0;
  std::uint64_t requests = 0;  // answered since the supervisor started
  std::uint64_t refused = 0;   // answered by the gateway in its place
  std::vector<RefusedFor> refused_for;
  std::uint32_t queue = 0;         // connections in the gateway that wait for a worker now
  std::uint32_t slow_clients = 0;  // … whose request has not come wholly
  std::uint32_t unread = 0;        // … whose answer is not read
  std::uint64_t queued = 0;        // that have waited for a worker since the supervisor started
  std::uint64_t queue_us = 0;      // how long, in all
  // queued, by base/latency_buckets.h, each bucket without those below; none: nothing has waited
  std::vector<std::uint64_t> queued_by_time;
  std::uint64_t mails = 0;            // that the MTA took since the supervisor started
  std::uint64_t mails_refused = 0;    // that it did not take, or that were past a limit
  std::uint64_t mails_last_hour = 0;  // recipients
  std::optional<std::uint64_t> pids;
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> memory_peak_bytes;
  std::optional<std::uint64_t> memory_max_bytes;
  std::uint64_t kept_opcache_bytes = 0;  // compiled scripts that wait in memory for the next sandbox
  std::optional<std::uint64_t> oom_kills;
  std::optional<std::uint64_t> cpu_us;  // user and system time of the sandbox
  std::vector<RunningRequest> running;
  std::vector<Grant> grants;  // the plan's and the tenant's own

  template <typename Io>
  void fields(Io &io) {
    io("name", name);
    io("user", user);
    io("uid", uid);
    io("plan", plan);
    io("php", php);
    io("state", state);
    io("problem", problem);
    io("block_reason", block_reason);
    io("block_until", block_until);
    io("throttled_to", throttled_to);
    io("throttled_until", throttled_until);
    io("started_at", started_at);
    io("keeper_pid", keeper_pid);
    io("workers", workers);
    io("workers_max", workers_max);
    io("busy", busy);
    io("requests", requests);
    io("refused", refused);
    io("refused_for", refused_for);
    io("queue", queue);
    io("slow_clients", slow_clients);
    io("unread", unread);
    io("queued", queued);
    io("queue_us", queue_us);
    io("queued_by_time", queued_by_time);
    io("mails", mails);
    io("mails_refused", mails_refused);
    io("mails_last_hour", mails_last_hour);
    io("pids", pids);
    io("memory_bytes", memory_bytes);
    io("memory_peak_bytes", memory_peak_bytes);
    io("memory_max_bytes", memory_max_bytes);
    io("kept_opcache_bytes", kept_opcache_bytes);
    io("oom_kills", oom_kills);
    io("cpu_us", cpu_us);
    io("running", running);
    io("grants", grants);
  }
};

// A PHP that sandboxes are cloned from, with one size of its opcache.
struct ZygoteStatus {
  std::string php;                // as the config calls it: "8.2"
  std::string version;            // as PHP itself does; empty: it is not ready
  std::uint32_t opcache_mib = 0;  // 0: what its php.ini says
  std::int32_t pid = 0;           // 0: not running now

  template <typename Io>
  void fields(Io &io) {
    io("php", php);
    io("version", version);
    io("opcache_mib", opcache_mib);
    io("pid", pid);
  }
};

// What concerns all tenants.
struct HostStatus {
  std::string version;  // of paddockd
  std::string config;   // the file
  std::int64_t started_at = 0;
  std::int32_t pid = 0;
  std::int32_t gateway_pid = 0;                  // 0: not running now
  std::int32_t zygote_pid = 0;                   // of the default PHP
  std::int32_t mail_pid = 0;                     // 0: not running, or there is none
  std::int32_t dashboard_pid = 0;                // 0: not running, or there is none
  std::string php_version;                       // of the default PHP; empty: its zygote has not said yet
  std::vector<ZygoteStatus> zygotes;             // that one, and what else tenants ask for
  std::string cgroup;                            // below the cgroup2 mount
  std::string hierarchy;                         // "unified": pure cgroup v2; "hybrid": v1 beside it
  std::vector<std::string> missing_controllers;  // limits that need these are not enforced
  std::vector<std::string> plans;                // of the config, to throttle to

  template <typename Io>
  void fields(Io &io) {
    io("version", version);
    io("config", config);
    io("started_at", started_at);
    io("pid", pid);
    io("gateway_pid", gateway_pid);
    io("zygote_pid", zygote_pid);
    io("mail_pid", mail_pid);
    io("dashboard_pid", dashboard_pid);
    io("php_version", php_version);
    io("zygotes", zygotes);
    io("cgroup", cgroup);
    io("hierarchy", hierarchy);
    io("missing_controllers", missing_controllers);
    io("plans", plans);
  }
};

// The end of a tenant's log, whole lines, as the file has them: what PHP and the tenant's scripts wrote.
struct TenantLog {
  static constexpr std::size_t kLimit = std::size_t{64} * 1024;

  std::string text;

  template <typename Io>
  void fields(Io &io) {
    io("text", text);
  }
};

struct Status {
  // Absent for a tenant's user, who is told of the own tenants only.
  std::optional<HostStatus> host;
  std::vector<TenantStatus> tenants;

  template <typename Io>
  void fields(Io &io) {
    io("host", host);
    io("tenants", tenants);
  }
};

struct Socket {
  std::string tenant;
  std::string path;
  std::uint64_t deadline_ms = 0;  // of the tenant's plan, for the web server's own time limit; 0: none
  std::uint64_t queue_time_ms = 0;
  std::string kind = "php";  // or cgi, fastcgi; "command": a fastcgi program that has every request

  template <typename Io>
  void fields(Io &io) {
    io("tenant", tenant);
    io("path", path);
    io("deadline_ms", deadline_ms);
    io("queue_time_ms", queue_time_ms);
    io("kind", kind);
  }
};

struct Sockets {
  std::vector<Socket> sockets;

  template <typename Io>
  void fields(Io &io) {
    io("sockets", sockets);
  }
};

// Of start, stop, restart, kill, freeze, thaw, block, unblock.
struct Action {
  std::string tenant;
  TenantState state = TenantState::kStopped;  // now: a start or stop may still be under way

  template <typename Io>
  void fields(Io &io) {
    io("tenant", tenant);
    io("state", state);
  }
};

enum class FindingSeverity : std::uint8_t { kOk, kWarning, kError };
inline constexpr std::array<std::string_view, 3> kFindingSeverities = {"ok", "warning", "error"};
[[nodiscard]] constexpr std::string_view name_of(FindingSeverity severity) {
  return kFindingSeverities[static_cast<std::size_t>(severity)];
}

// A way for a tenant into the dashboard that works once.
struct Link {
  std::string url;               // holds the secret, behind a '#', so that no log gets it
  std::int64_t valid_until = 0;  // seconds since the epoch

  template <typename Io>
  void fields(Io &io) {
    io("url", url);
    io("valid_until", valid_until);
  }
};

// Whose a token is. One of a link is used up by this.
struct Login {
  std::string role;    // "admin"; "metrics": may read /metrics; "tenant": may see the one below
  std::string tenant;  // of a link

  template <typename Io>
  void fields(Io &io) {
    io("role", role);
    io("tenant", tenant);
  }
};

// What `paddock token --json` prints.
struct Token {
  std::string role;
  std::string token;

  template <typename Io>
  void fields(Io &io) {
    io("role", role);
    io("token", token);
  }
};

// Something that `doctor`, `check` or a reload looked at.
struct Finding {
  FindingSeverity severity = FindingSeverity::kOk;
  std::string subject;  // what was looked at: "cgroup", "/etc/paddock/paddock.toml:3:1"
  std::string message;
  std::string mend;  // what to do about it; empty where nothing is wrong

  template <typename Io>
  void fields(Io &io) {
    io("severity", severity);
    io("subject", subject);
    io("message", message);
    io("mend", mend);
  }
};

struct Findings {
  std::vector<Finding> findings;

  template <typename Io>
  void fields(Io &io) {
    io("findings", findings);
  }
};

// Names of tenants. Those of changed plans count as changed.
struct Reloaded {
  std::vector<std::string> added;
  std::vector<std::string> changed;
  std::vector<std::string> removed;
  std::vector<Finding> findings;

  template <typename Io>
  void fields(Io &io) {
    io("added", added);
    io("changed", changed);
    io("removed", removed);
    io("findings", findings);
  }
};

struct Doctor {
  HostStatus host;
  std::vector<Finding> findings;  // what only the supervisor can see

  template <typename Io>
  void fields(Io &io) {
    io("host", host);
    io("findings", findings);
  }
};

struct Version {
  std::string version;
  std::int32_t protocol = 1;

  template <typename Io>
  void fields(Io &io) {
    io("version", version);
    io("protocol", protocol);
  }
};

// Not of the protocol: what `paddock policy explain --json` prints.
struct SyscallAnswer {
  std::string call;
  std::string answer;  // "allowed"
  std::string group;
  std::string reason;
  std::string where;  // FILE:LINE:COLUMN of the rule; empty: the profile has none

  template <typename Io>
  void fields(Io &io) {
    io("call", call);
    io("answer", answer);
    io("group", group);
    io("reason", reason);
    io("where", where);
  }
};

struct PolicyExplanation {
  std::string profile;
  std::string description;
  std::vector<SyscallAnswer> calls;

  template <typename Io>
  void fields(Io &io) {
    io("profile", profile);
    io("description", description);
    io("calls", calls);
  }
};

// Not of the protocol: what `paddock policy learned --json` prints.
struct LoggedCall {
  std::string call;  // its name, or number
  std::uint64_t times = 0;

  template <typename Io>
  void fields(Io &io) {
    io("call", call);
    io("times", times);
  }
};

struct LearnedPolicy {
  std::string tenant;
  std::vector<LoggedCall> calls;

  template <typename Io>
  void fields(Io &io) {
    io("tenant", tenant);
    io("calls", calls);
  }
};

// Not of the protocol: what `paddock vhost --json` prints.
struct Vhost {
  std::string tenant;
  std::string server;  // "apache" or "nginx"
  std::string socket;
  std::string lines;  // for the server's configuration

  template <typename Io>
  void fields(Io &io) {
    io("tenant", tenant);
    io("server", server);
    io("socket", socket);
    io("lines", lines);
  }
};

}  // namespace paddock::control
