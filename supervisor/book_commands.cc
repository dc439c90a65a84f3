#include "supervisor/book_commands.h"

#include <algorithm>

#include "accounting/history_query.h"
#include "protocols/control/reply.h"
#include "supervisor/supervisor.h"

namespace paddock::supervisor {
namespace {

using accounting::Time;
using control::Access;
using control::Command;
using control::ErrorCode;
using control::Request;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

constexpr auto kDefaultSpan = std::chrono::hours(24);
constexpr std::uint32_t kDefaultRanks = 20;
constexpr std::uint32_t kDefaultEvents = 1000;
// How soon a follower hears of an event.
constexpr milliseconds kEventPeriod{200};
constexpr std::uint32_t kDefaultSamplePeriodMs = 1000;
constexpr auto kRuleSpan = std::chrono::days(7);
constexpr std::size_t kRuleFirings = 500;

Time now() {
  return std::chrono::time_point_cast<milliseconds>(system_clock::now());
}

std::int64_t unix_seconds(Time time) {
  return std::chrono::floor<seconds>(time).time_since_epoch().count();
}

// The tenants that the request is about and that the peer may see.
std::vector<std::string> own_tenants(const Supervisor &supervisor, const Request &request, uid_t uid) {
  std::vector<std::string> names;
  for (const auto &[name, tenant] : supervisor.tenants())
    if (tenant->settings().uid == uid && (request.tenant.empty() || request.tenant == name))
      names.push_back(name);
  return names;
}

control::Usage usage_of(const accounting::Usage &usage) {
  const accounting::Counters &from = usage.counters;
  control::Usage to;
  to.active_ms = from.active_ms;
  to.starts = from.starts;
  to.crashes = from.crashes;
  to.cpu_user_us = from.cpu_user_us;
  to.cpu_system_us = from.cpu_system_us;
  to.cpu_periods = from.cpu_periods;
  to.cpu_throttled_periods = from.cpu_throttled_periods;
  to.cpu_throttled_us = from.cpu_throttled_us;
  const double active_s = static_cast<double>(from.active_ms) / 1000;
  const auto average = [active_s](std::uint64_t sum) {
    return active_s > 0 ? static_cast<double>(sum) / active_s : 0;
  };
  const auto bytes = [&](std::uint64_t kib_s) { return static_cast<std::uint64_t>(average(kib_s) * 1024); };
  to.memory_bytes = bytes(from.memory_kib_s);
  to.anon_bytes = bytes(from.anon_kib_s);
  to.file_bytes = bytes(from.file_kib_s);
  to.kernel_bytes = bytes(from.kernel_kib_s);
  to.shmem_bytes = bytes(from.shmem_kib_s);
  to.sock_bytes = bytes(from.sock_kib_s);
  to.memory_peak_bytes = usage.peaks.memory_bytes;
  to.memory_high_events = from.memory_high_events;
  to.memory_max_events = from.memory_max_events;
  to.oom_kills = from.oom_kills;
  to.io_read_bytes = from.io_read_bytes;
  to.io_written_bytes = from.io_written_bytes;
  to.io_reads = from.io_reads;
  to.io_writes = from.io_writes;
  to.pids = average(from.pids_s);
  to.pids_peak = usage.peaks.pids;
  to.forks_refused = from.forks_refused;
  to.cpu_some_us = from.cpu_some_us;
  to.cpu_full_us = from.cpu_full_us;
  to.memory_some_us = from.memory_some_us;
  to.memory_full_us = from.memory_full_us;
  to.io_some_us = from.io_some_us;
  to.io_full_us = from.io_full_us;
  to.requests = from.requests;
  to.request_us = from.request_ns / 1000;
  to.bytes_in = from.bytes_in;
  to.bytes_out = from.bytes_out;
  to.refused = from.refused;
  to.late = from.late;
  to.queued = from.queued;
  to.queue_us = from.queue_ns / 1000;
  to.net_in_bytes = from.net_in_bytes;
  to.net_out_bytes = from.net_out_bytes;
  to.mails = from.mails;
  to.mails_refused = from.mails_refused;
  return to;
}

accounting::Ranking ranking_of(control::Figure figure) {
  switch (figure) {
    case control::Figure::kCpu:
      return accounting::Ranking::kCpu;
    case control::Figure::kMemory:
      return accounting::Ranking::kMemory;
    case control::Figure::kIo:
      return accounting::Ranking::kIo;
    case control::Figure::kRequests:
      return accounting::Ranking::kRequests;
    case control::Figure::kRefused:
      return accounting::Ranking::kRefused;
    case control::Figure::kNetwork:
      return accounting::Ranking::kNetwork;
  }
  return accounting::Ranking::kCpu;
}

accounting::Resolution resolution_of(control::Step step) {
  switch (step) {
    case control::Step::kMinute:
      return accounting::Resolution::kMinute;
    case control::Step::kHour:
      return accounting::Resolution::kHour;
    case control::Step::kDay:
      return accounting::Resolution::kDay;
  }
  return accounting::Resolution::kDay;
}

Result<control::TenantUsage> usage_of_tenant(accounting::Database &database, const std::string &name,
                                             Time since, Time until,
                                             const std::optional<control::Step> &step) {
  PADDOCK_TRY(const accounting::Usage all, accounting::usage_since(database, name, since));
  control::TenantUsage result{name, usage_of(all), {}};
  if (!step) return result;
  PADDOCK_TRY(const auto samples, accounting::usage_samples(database, name, since, until + milliseconds(1),
                                                            resolution_of(*step)));
  for (const auto &sample : samples)
    result.samples.push_back({unix_seconds(sample.start), usage_of(sample.usage)});
  return result;
}

Result<control::UsageReport> report(Supervisor &supervisor, const Peer &peer, const Request &request) {
  const Time until = now();
  const Time since = request.since ? Time(seconds(*request.since)) : until - kDefaultSpan;
  control::UsageReport report{unix_seconds(since), unix_seconds(until), {}};
  PADDOCK_TRY(accounting::Database *const database, supervisor.accountant().history());
  const bool all = access_to(supervisor, peer, request) == Access::kAll;
  if (all && request.tenant.empty()) {
    PADDOCK_TRY(const auto ranked,
                accounting::usage_top(*database, ranking_of(request.top.value_or(control::Figure::kCpu)),
                                      since, request.limit.value_or(kDefaultRanks)));
    for (const auto &[name, usage] : ranked) report.tenants.push_back({name, usage_of(usage), {}});
    return report;
  }
  const auto names =
      all ? std::vector<std::string>{request.tenant} : own_tenants(supervisor, request, peer.uid);
  for (const std::string &name : names) {
    PADDOCK_TRY(auto usage, usage_of_tenant(*database, name, since, until, request.step));
    report.tenants.push_back(std::move(usage));
  }
  return report;
}

control::Events events_after(const std::vector<accounting::Event> &found, std::uint64_t last_id) {
  control::Events events{{}, last_id};
  for (const auto &event : found) {
    events.events.push_back({event.id, event.time.time_since_epoch().count(), event.tenant,
                             std::string(accounting::to_string(event.kind)), event.actor, event.text,
                             event.snapshot});
    events.last_id = std::max(events.last_id, event.id);
  }
  return events;
}

// A request for events, and how far it has been answered.
class EventStream {
 public:
  EventStream(Supervisor &supervisor, Peer peer, Request request)
      : supervisor_(supervisor), peer_(std::move(peer)), request_(std::move(request)) {
    filter_.after_id = request_.after.value_or(0);
    if (request_.since) filter_.since = Time(seconds(*request_.since));
    filter_.limit = request_.limit.value_or(kDefaultEvents);
    filter_.newest = !request_.after;
  }

  Answer::Next first() { return read(); }

  Answer::Next next() {
    if (access_to(supervisor_, peer_, request_) == Access::kDenied)
      return {control::error_reply(ErrorCode::kNotPermitted, "not permitted any more"), true};
    auto &log = supervisor_.accountant().events();
    // Starts and stops wait in memory for a while: a follower shall not.
    [[maybe_unused]] const auto flushed = log.flush(now());
    if (log.last_id() <= seen_) return {};
    filter_.newest = false;
    Answer::Next next = read();
    return found_ ? next : Answer::Next{};
  }

 private:
  Answer::Next read() {
    auto &log = supervisor_.accountant().events();
    if (access_to(supervisor_, peer_, request_) != Access::kAll) {
      filter_.tenants = own_tenants(supervisor_, request_, peer_.uid);
    } else if (!request_.tenant.empty()) {
      filter_.tenants = std::vector<std::string>{request_.tenant};
    }
    const auto listed = log.list(filter_, now());
    if (!listed) return {control::error_reply(ErrorCode::kFailed, listed.error().message()), true};
    found_ = !listed->empty();
    const control::Events events = events_after(*listed, filter_.after_id);
    filter_.after_id = events.last_id;
    // Others' events are behind us as well, unless the limit has cut some of ours off.
    seen_ = listed->size() < filter_.limit ? std::max(events.last_id, log.last_id()) : events.last_id;
    return {control::ok_reply(events), false};
  }

  Supervisor &supervisor_;
  Peer peer_;
  Request request_;
  accounting::EventFilter filter_;
  std::uint64_t seen_ = 0;
  bool found_ = false;
};

control::TenantSample sample_of(Supervisor &supervisor, const std::string &name) {
  control::TenantSample sample;
  sample.tenant = name;
  const Tenant *const tenant = supervisor.find(name);
  if (const Run *const run = tenant == nullptr ? nullptr : tenant->run(); run != nullptr) {
    sample.workers = std::min(run->board()->workers.load(std::memory_order_relaxed), run->workers_max());
    sample.busy = std::min(run->board()->busy.load(std::memory_order_relaxed), sample.workers);
  }
  const accounting::Gauges gauges = supervisor.accountant().gauges(name);
  sample.memory_bytes = gauges.memory_bytes;
  sample.anon_bytes = gauges.anon_bytes;
  sample.file_bytes = gauges.file_bytes;
  sample.kernel_bytes = gauges.kernel_bytes;
  sample.shmem_bytes = gauges.shmem_bytes;
  sample.sock_bytes = gauges.sock_bytes;
  sample.swap_bytes = gauges.swap_bytes;
  sample.pids = gauges.pids;
  sample.cpu_some_avg10 = gauges.cpu_some_avg10;
  sample.memory_some_avg10 = gauges.memory_some_avg10;
  sample.memory_full_avg10 = gauges.memory_full_avg10;
  sample.io_some_avg10 = gauges.io_some_avg10;
  sample.io_full_avg10 = gauges.io_full_avg10;
  sample.total = usage_of(supervisor.accountant().lifetime(name));
  const accounting::RequestFigures requests = supervisor.accountant().requests(name);
  sample.requests_by_class.assign(requests.by_class.begin(), requests.by_class.end());
  sample.requests_by_time.assign(requests.by_time.begin(), requests.by_time.end());
  sample.requests_time_us = requests.time_ns / 1000;
  return sample;
}

Answer::Next next_samples(Supervisor &supervisor, const Peer &peer, const Request &request) {
  const Access access = access_to(supervisor, peer, request);
  if (access == Access::kDenied)
    return {control::error_reply(ErrorCode::kNotPermitted, "not permitted any more"), true};
  control::Samples samples;
  samples.time_ms = now().time_since_epoch().count();
  for (const std::string &name : supervisor.accountant().running()) {
    if (!request.tenant.empty() && request.tenant != name) continue;
    if (access != Access::kAll) {
      const Tenant *const tenant = supervisor.find(name);
      if (tenant == nullptr || tenant->settings().uid != peer.uid) continue;
    }
    samples.tenants.push_back(sample_of(supervisor, name));
  }
  return {control::ok_reply(samples), false};
}

}  // namespace

Access access_to(Supervisor &supervisor, const Peer &peer, const Request &request) {
  const Tenant *const tenant = request.tenant.empty() ? nullptr : supervisor.find(request.tenant);
  const auto tenant_uid = tenant != nullptr ? std::optional(tenant->settings().uid) : std::nullopt;
  const auto &dashboard = supervisor.config().dashboard;
  control::Caller caller{peer.uid, peer.groups};
  caller.dashboard = dashboard.uid != 0 && peer.uid == dashboard.uid;
  // Others need none, and it proves nothing about them.
  if (caller.dashboard && !request.token.empty() && request.command != control::Command::kLogin)
    caller.admin_token = supervisor.logins().is_admin(dashboard.token_file, request.token);
  return control::access_of(request, caller, supervisor.config().runtime.admin_gid, tenant_uid);
}

bool is_in_the_books(Supervisor &supervisor, const Request &request) {
  return (request.command == Command::kUsage || request.command == Command::kEvents) &&
         supervisor.accountant().knows(request.tenant);
}

std::string usage(Supervisor &supervisor, const Peer &peer, const Request &request) {
  const auto made = report(supervisor, peer, request);
  if (made) return control::ok_reply(*made);
  supervisor.accountant().history_failed(made.error());
  return control::error_reply(ErrorCode::kFailed, made.error().message());
}

std::string rule_report(Supervisor &supervisor) {
  const Time until = now();
  const Time since = until - kRuleSpan;
  control::RuleReport report;
  report.since = unix_seconds(since);
  for (const auto &[name, entry] : supervisor.config().rules) {
    const rules::Rule &rule = entry.rule;
    report.rules.push_back({name, to_string(rule.condition), rule.condition.window.count(),
                            std::string(to_string(rule.action.consequence)), rule.action.plan,
                            rule.action.duration.count(), rule.dry_run});
  }
  accounting::EventFilter filter;
  filter.since = since;
  filter.kinds = {accounting::EventKind::kRuleFired};
  filter.limit = kRuleFirings;
  filter.newest = true;
  const auto fired = supervisor.accountant().events().list(filter, until);
  if (!fired) return control::error_reply(ErrorCode::kFailed, fired.error().message());
  report.fired = events_after(*fired, 0).events;
  return control::ok_reply(report);
}

Answer events(Supervisor &supervisor, const Peer &peer, const Request &request) {
  const auto stream = std::make_shared<EventStream>(supervisor, peer, request);
  const Answer::Next first = stream->first();
  if (!request.follow || first.last) return {first.line};
  return {first.line, [stream] { return stream->next(); }, kEventPeriod};
}

Answer samples(Supervisor &supervisor, const Peer &peer, const Request &request) {
  const auto next = [&supervisor, peer, request] { return next_samples(supervisor, peer, request); };
  return {next().line, next, milliseconds(request.period_ms.value_or(kDefaultSamplePeriodMs))};
}

}  // namespace paddock::supervisor
