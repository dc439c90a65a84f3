#include "cli/usage.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <ostream>

#include "cli/text.h"

namespace paddock::cli {
namespace {

using control::Usage;
using std::chrono::milliseconds;

std::string time_of(std::uint64_t us) {
  return duration_text(
      milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(us, INT64_MAX) / 1000)));
}

std::string cpu_of(const Usage &usage) {
  return time_of(usage.cpu_user_us + usage.cpu_system_us);
}

std::string share(std::uint64_t part, std::uint64_t whole) {
  char text[16];
  std::snprintf(text, sizeof text, "%.0f%%",
                whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

// What there is for each of a tenant's periods, and for each tenant.
const std::vector<std::string> kColumns = {"CPU",     "THROTTLED", "MEMORY",  "PEAK",    "READ",
                                           "WRITTEN", "REQUESTS",  "REFUSED", "CRASHES", "OOM"};

std::vector<std::string> cells(const Usage &usage) {
  return {cpu_of(usage),
          time_of(usage.cpu_throttled_us),
          size_text(usage.memory_bytes),
          size_text(usage.memory_peak_bytes),
          size_text(usage.io_read_bytes),
          size_text(usage.io_written_bytes),
          std::to_string(usage.requests),
          std::to_string(usage.refused),
          std::to_string(usage.crashes),
          std::to_string(usage.oom_kills)};
}

std::vector<std::string> row(std::string first, const std::vector<std::string> &rest) {
  std::vector<std::string> row = {std::move(first)};
  row.insert(row.end(), rest.begin(), rest.end());
  return row;
}

}  // namespace

std::string describe(const control::TenantUsage &tenant) {
  const Usage &usage = tenant.usage;
  const auto times = [](std::uint64_t count, const char *what) { return std::to_string(count) + " " + what; };
  std::vector<std::vector<std::string>> rows = {
      {"tenant:", printable(tenant.tenant)},
      {"sandbox:", time_of(usage.active_ms * 1000) + ", " + times(usage.starts, "starts") + ", " +
                       times(usage.crashes, "crashes")},
      {"cpu:", cpu_of(usage) + " (user " + time_of(usage.cpu_user_us) + ", system " +
                   time_of(usage.cpu_system_us) + ")"},
      {"throttled:", time_of(usage.cpu_throttled_us) + " in " +
                         share(usage.cpu_throttled_periods, usage.cpu_periods) + " of the periods"},
      {"memory:",
       size_text(usage.memory_bytes) + " on average, at most " + size_text(usage.memory_peak_bytes)},
      {"of this:", "anonymous " + size_text(usage.anon_bytes) + ", files " + size_text(usage.file_bytes) +
                       ", shared " + size_text(usage.shmem_bytes) + ", kernel " +
                       size_text(usage.kernel_bytes) + ", sockets " + size_text(usage.sock_bytes)},
      {"its limits:", times(usage.memory_high_events, "times above high, ") +
                          times(usage.memory_max_events, "times at max, ") +
                          times(usage.oom_kills, "processes killed")},
      {"disk:", size_text(usage.io_read_bytes) + " read in " + times(usage.io_reads, "operations, ") +
                    size_text(usage.io_written_bytes) + " written in " +
                    times(usage.io_writes, "operations")},
      {"processes:", std::to_string(static_cast<std::uint64_t>(usage.pids + 0.5)) + " on average, at most " +
                         std::to_string(usage.pids_peak) + ", " +
                         times(usage.forks_refused, "forks refused")},
      {"waited:", "for cpu " + time_of(usage.cpu_some_us) + ", for memory " + time_of(usage.memory_some_us) +
                      ", for disks " + time_of(usage.io_some_us)},
      {"requests:", times(usage.requests, "answered in ") + time_of(usage.request_us) + ", " +
                        times(usage.refused, "refused, ") + times(usage.late, "late, ") +
                        times(usage.queued, "queued for ") + time_of(usage.queue_us)},
      {"traffic:", size_text(usage.bytes_in) + " in, " + size_text(usage.bytes_out) + " out; network " +
                       size_text(usage.net_in_bytes) + " in, " + size_text(usage.net_out_bytes) + " out"},
      {"mail:", times(usage.mails, "sent, ") + times(usage.mails_refused, "refused")}};
  return table(rows);
}

std::string periods(const std::vector<control::UsageSample> &samples) {
  std::vector<std::vector<std::string>> rows = {row("FROM", kColumns)};
  for (const auto &sample : samples) rows.push_back(row(time_text(sample.start), cells(sample.usage)));
  return table(rows);
}

std::string ranking(const std::vector<control::TenantUsage> &tenants) {
  std::vector<std::vector<std::string>> rows = {row("TENANT", kColumns)};
  for (const auto &tenant : tenants) rows.push_back(row(printable(tenant.tenant), cells(tenant.usage)));
  return table(rows);
}

ExitStatus usage(const Session &session, const UsageOptions &options) {
  control::Request request{control::Command::kUsage, options.tenant, "", {}};
  request.since = parse_past(options.since, std::time(nullptr));
  if (!request.since) return session.fail(ExitStatus::kUsage, "--since: " + std::string(kPastExpected));
  const auto index = [](const auto &names, const std::string &name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  if (options.tenant.empty()) {
    request.top = static_cast<control::Figure>(index(control::kFigures, options.top));
    request.limit = options.limit;
    if (!options.step.empty()) return session.fail(ExitStatus::kUsage, "--by: only for one tenant");
  } else if (!options.step.empty()) {
    request.step = static_cast<control::Step>(index(control::kSteps, options.step));
  }
  return run<control::UsageReport>(session, request, [&](const control::UsageReport &report) {
    if (session.json) {
      session.out << to_json(report) << '\n';
    } else if (options.tenant.empty()) {
      session.out << ranking(report.tenants);
    } else {
      for (const auto &tenant : report.tenants) {
        session.out << describe(tenant);
        if (request.step) session.out << '\n' << periods(tenant.samples);
      }
    }
  });
}

}  // namespace paddock::cli
