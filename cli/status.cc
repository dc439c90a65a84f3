#include "cli/status.h"

#include <algorithm>
#include <ctime>
#include <ostream>

#include "cli/text.h"

namespace paddock::cli {
namespace {

using control::TenantStatus;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Beyond the longest stop_patience.
constexpr seconds kStopPatience(660);

std::string uptime(const TenantStatus &tenant, std::int64_t now) {
  if (!tenant.started_at) return {};
  return duration_text(seconds(std::max<std::int64_t>(now - *tenant.started_at, 0)));
}

std::string cpu_time(std::uint64_t us) {
  return duration_text(milliseconds(static_cast<std::int64_t>(us / 1000)));
}

// Why the tenant is as it is.
std::string note(const TenantStatus &tenant) {
  if (tenant.state == control::TenantState::kBlocked) {
    const std::string until = tenant.block_until ? "until " + time_text(*tenant.block_until) + ": " : "";
    return printable(until + tenant.block_reason);
  }
  return tenant.problem.empty() ? std::string() : printable(tenant.problem);
}

// " (3 body-size, 17 queue-full)"
std::string reasons(const TenantStatus &tenant) {
  std::string text;
  for (const auto &[reason, requests] : tenant.refused_for)
    text += (text.empty() ? " (" : ", ") + std::to_string(requests) + " " + printable(reason);
  return text.empty() ? text : text + ")";
}

void warn_of_missing(const Session &session, const control::HostStatus &host) {
  if (host.missing_controllers.empty()) return;
  std::string names;
  for (const auto &name : host.missing_controllers) names += (names.empty() ? "" : ", ") + printable(name);
  session.err << "paddock: this host's cgroup v2 lacks " << names << ": those limits are not enforced\n";
}

std::string list(const char *what, const std::vector<std::string> &names) {
  if (names.empty()) return {};
  std::string out = what;
  for (const auto &name : names) out += " " + printable(name);
  return out + "\n";
}

}  // namespace

std::string overview(const std::vector<TenantStatus> &tenants, std::int64_t now) {
  std::vector<std::vector<std::string>> rows = {
      {"TENANT", "STATE", "PLAN", "WORKERS", "BUSY", "REQUESTS", "MEMORY", "CPU", "UPTIME", "NOTE"}};
  for (const auto &tenant : tenants)
    rows.push_back({printable(tenant.name), std::string(name_of(tenant.state)), printable(tenant.plan),
                    std::to_string(tenant.workers) + "/" + std::to_string(tenant.workers_max),
                    std::to_string(tenant.busy), std::to_string(tenant.requests),
                    tenant.memory_bytes ? size_text(*tenant.memory_bytes) : "",
                    tenant.cpu_us ? cpu_time(*tenant.cpu_us) : "", uptime(tenant, now), note(tenant)});
  return table(rows);
}

std::string describe(const TenantStatus &tenant, std::int64_t now) {
  std::vector<std::vector<std::string>> rows = {
      {"tenant:", printable(tenant.name)},
      {"user:", printable(tenant.user) + " (" + std::to_string(tenant.uid) + ")"},
      {"plan:", printable(tenant.plan)},
      {"php:", printable(tenant.php)},
      {"state:", std::string(name_of(tenant.state))}};
  if (const std::string why = note(tenant); !why.empty()) rows.push_back({"because:", why});
  if (!tenant.throttled_to.empty())
    rows.push_back(
        {"throttled:", "to the limits of " + printable(tenant.throttled_to) +
                           (tenant.throttled_until ? " until " + time_text(*tenant.throttled_until) : "")});
  if (tenant.started_at)
    rows.push_back({"started:", time_text(*tenant.started_at) + " (" + uptime(tenant, now) + " ago)"});
  rows.push_back({"workers:", std::to_string(tenant.workers) + " of at most " +
                                  std::to_string(tenant.workers_max) + ", " + std::to_string(tenant.busy) +
                                  " busy"});
  rows.push_back({"requests:", std::to_string(tenant.requests) + " answered, " +
                                   std::to_string(tenant.refused) + " refused" + reasons(tenant)});
  if (tenant.queued > 0)
    rows.push_back({"queued:", std::to_string(tenant.queued) + " for " +
                                   duration_text(milliseconds(static_cast<std::int64_t>(
                                       std::min<std::uint64_t>(tenant.queue_us / 1000, INT64_MAX)))) +
                                   " in all"});
  if (tenant.queue + tenant.slow_clients + tenant.unread > 0)
    rows.push_back({"waiting:", std::to_string(tenant.queue) + " for a worker, " +
                                    std::to_string(tenant.slow_clients) + " half-sent, " +
                                    std::to_string(tenant.unread) + " half-read"});
  if (tenant.mails > 0 || tenant.mails_refused > 0)
    rows.push_back({"mails:", std::to_string(tenant.mails) + " sent, " +
                                  std::to_string(tenant.mails_refused) + " refused, " +
                                  std::to_string(tenant.mails_last_hour) + " recipients in the last hour"});
  if (tenant.pids) rows.push_back({"processes:", std::to_string(*tenant.pids)});
  if (tenant.memory_bytes) {
    std::string memory = size_text(*tenant.memory_bytes);
    if (tenant.memory_max_bytes) memory += " of " + size_text(*tenant.memory_max_bytes);
    if (tenant.memory_peak_bytes) memory += ", at most " + size_text(*tenant.memory_peak_bytes) + " so far";
    rows.push_back({"memory:", memory});
  }
  if (tenant.kept_opcache_bytes > 0)
    rows.push_back({"opcache:", size_text(tenant.kept_opcache_bytes) + " kept for the next start"});
  if (tenant.oom_kills && *tenant.oom_kills > 0)
    rows.push_back({"killed:", std::to_string(*tenant.oom_kills) + " times for want of memory"});
  if (tenant.cpu_us) rows.push_back({"cpu:", cpu_time(*tenant.cpu_us)});
  for (const auto &grant : tenant.grants)
    rows.push_back({"granted:", printable(grant.name) + ": " + printable(grant.reason)});
  std::string out = table(rows);
  if (tenant.running.empty()) return out;
  std::vector<std::vector<std::string>> requests = {{"PID", "AGE", "MEMORY", "METHOD", "URI", "SCRIPT"}};
  for (const auto &request : tenant.running)
    requests.push_back({std::to_string(request.pid),
                        duration_text(milliseconds(
                            static_cast<std::int64_t>(std::min<std::uint64_t>(request.age_ms, INT64_MAX)))),
                        request.memory_bytes ? size_text(*request.memory_bytes) : "-",
                        printable(request.method), printable(request.uri), printable(request.script)});
  return out + "\n" + table(requests);
}

ExitStatus status(const Session &session, const std::string &tenant) {
  return run<control::Status>(session, {control::Command::kStatus, tenant, "", {}},
                              [&](const control::Status &status) {
                                if (session.json) {
                                  session.out << to_json(status) << '\n';
                                  return;
                                }
                                const std::int64_t now = std::time(nullptr);
                                if (tenant.empty()) {
                                  session.out << overview(status.tenants, now);
                                } else {
                                  for (const auto &one : status.tenants) session.out << describe(one, now);
                                }
                                if (status.host) warn_of_missing(session, *status.host);
                              });
}

ExitStatus act(const Session &session, const control::Request &request) {
  return run<control::Action>(
      session, request,
      [&](const control::Action &action) {
        if (session.json) {
          session.out << to_json(action) << '\n';
        } else {
          session.out << printable(action.tenant) << ": " << name_of(action.state) << '\n';
        }
      },
      kStopPatience);
}

ExitStatus reload(const Session &session, const std::string &tenant) {
  bool errors = false;
  const ExitStatus status = run<control::Reloaded>(
      session, {control::Command::kReload, tenant, "", {}}, [&](const control::Reloaded &reloaded) {
        errors = std::any_of(reloaded.findings.begin(), reloaded.findings.end(), [](const auto &finding) {
          return finding.severity == control::FindingSeverity::kError;
        });
        if (session.json) {
          session.out << to_json(reloaded) << '\n';
          return;
        }
        session.out << list("added:", reloaded.added) << list("changed:", reloaded.changed)
                    << list("removed:", reloaded.removed);
        for (const auto &finding : reloaded.findings)
          session.err << printable(finding.subject) << ": " << name_of(finding.severity) << ": "
                      << printable(finding.message, 4096) << '\n';
      });
  return status == ExitStatus::kOk && errors ? ExitStatus::kFailed : status;
}

}  // namespace paddock::cli
