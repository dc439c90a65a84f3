#include "supervisor/status.h"

#include <unistd.h>

#include "supervisor/process_memory.h"

namespace paddock::supervisor {
namespace {

using std::chrono::system_clock;

std::int64_t unix_seconds(system_clock::time_point when) {
  return system_clock::to_time_t(when);
}

void add_scoreboard(const Run &run, control::TenantStatus &status) {
  for (std::uint32_t i = 0; i < run.workers_max(); ++i)
    if (scoreboard::read_slot(run.board()->slots[i]).state != scoreboard::State::kEmpty) ++status.workers;
  for (const auto &[slot, age] : run.running_requests())
    status.running.push_back(
        {slot.pid, slot.method, slot.uri, slot.script, static_cast<std::uint64_t>(age.count()), {}});
  status.busy = static_cast<std::uint32_t>(status.running.size());
}

void add_figures(const cgroups::Stats &stats, control::TenantStatus &status) {
  if (stats.cpu) status.cpu_us = stats.cpu->user_us + stats.cpu->system_us;
  if (stats.pids) status.pids = stats.pids->current;
  if (!stats.memory) return;
  status.memory_bytes = stats.memory->current;
  status.memory_peak_bytes = stats.memory->peak;
  status.oom_kills = stats.memory->oom_kills;
}

}  // namespace

control::TenantState state_of(const Tenant &tenant) {
  using control::TenantState;
  if (tenant.block_in_force() != nullptr) return TenantState::kBlocked;
  if (!tenant.settings().problem.empty()) return TenantState::kUnusable;
  if (tenant.frozen()) return TenantState::kFrozen;
  switch (tenant.state()) {
    case Tenant::State::kIdle:
      return TenantState::kStopped;
    case Tenant::State::kStarting:
      return TenantState::kStarting;
    case Tenant::State::kRunning:
      return TenantState::kRunning;
    case Tenant::State::kStopping:
      return TenantState::kStopping;
    case Tenant::State::kWaiting:
      return TenantState::kBackingOff;
  }
  return TenantState::kStopped;
}

control::TenantStatus status_of(const Tenant &tenant) {
  control::TenantStatus status;
  status.name = tenant.settings().name;
  status.user = tenant.settings().user;
  status.uid = tenant.settings().uid;
  status.plan = tenant.plan().name;
  status.php = tenant.php().name;
  status.state = state_of(tenant);
  status.problem = tenant.settings().problem;
  if (status.problem.empty() && status.state == control::TenantState::kBackingOff)
    status.problem = tenant.last_failure();
  if (const Block *block = tenant.block_in_force()) {
    status.block_reason = block->reason;
    if (block->until) status.block_until = unix_seconds(*block->until);
  }
  for (const auto *grants : {&tenant.plan().grants, &tenant.settings().grants})
    for (const auto &grant : *grants) status.grants.push_back({grant.name, grant.reason});
  if (const Block *throttle = tenant.throttle_in_force()) {
    status.throttled_to = throttle->reason;
    if (throttle->until) status.throttled_until = unix_seconds(*throttle->until);
  }
  status.workers_max = tenant.plan().workers;
  status.requests = tenant.requests();
  status.refused = tenant.refused();
  for (const auto &[reason, requests] : tenant.refused_by_reason())
    status.refused_for.push_back({reason, requests});
  const gateway_link::Waiting &waiting = tenant.waiting();
  status.queue = waiting.queue;
  status.slow_clients = waiting.slow;
  status.unread = waiting.unread;
  status.queued = waiting.queued;
  status.queue_us = waiting.queue_us;
  status.queued_by_time = waiting.by_time;
  const auto mail = tenant.mail();
  status.mails = mail.sent;
  status.mails_refused = mail.refused;
  status.mails_last_hour = mail.last_hour;
  status.memory_max_bytes = tenant.limits_in_force().memory_max;
  status.kept_opcache_bytes = tenant.kept_opcache();
  if (const Run *run = tenant.run()) {
    const auto age = Run::Clock::now() - run->started();
    status.started_at =
        unix_seconds(system_clock::now() - std::chrono::duration_cast<system_clock::duration>(age));
    if (run->keeper_pid() > 0) status.keeper_pid = run->keeper_pid();
    add_scoreboard(*run, status);
    if (const auto stats = run->cgroup().stats(); stats) add_figures(*stats, status);
  }
  return status;
}

void add_memory_of_requests(const Tenant &tenant, control::TenantStatus &status) {
  if (tenant.run() == nullptr || status.running.empty()) return;
  const auto processes = tenant.run()->cgroup().all_processes();
  if (!processes) return;
  const auto memory = own_memory(*processes);
  for (auto &request : status.running)
    if (const auto found = memory.find(request.pid); found != memory.end())
      request.memory_bytes = found->second;
}

control::HostStatus host_status(const Supervisor &supervisor) {
  control::HostStatus status;
  status.version = PADDOCK_VERSION;
  status.config = supervisor.config().file;
  status.started_at = unix_seconds(supervisor.started_at());
  status.pid = ::getpid();
  status.gateway_pid = supervisor.gateway().program().pid();
  if (supervisor.mail() != nullptr) status.mail_pid = supervisor.mail()->program().pid();
  if (supervisor.dashboard() != nullptr) status.dashboard_pid = supervisor.dashboard()->pid();
  for (const auto &[kind, zygote] : supervisor.zygotes().all()) {
    const std::string version = zygote->instance() == 0 ? "" : zygote->php_version();
    status.zygotes.push_back({kind.php.name, version, kind.opcache_mib, zygote->program().pid()});
    if (kind.php.name != supervisor.config().runtime.php || kind.opcache_mib != 0) continue;
    status.zygote_pid = zygote->program().pid();
    status.php_version = zygote->php_version();
  }
  status.cgroup = supervisor.hierarchy().base_path();
  status.hierarchy = supervisor.hierarchy().host().hybrid ? "hybrid" : "unified";
  status.missing_controllers = supervisor.hierarchy().missing_controllers();
  for (const auto &[name, plan] : supervisor.config().plans) status.plans.push_back(name);
  return status;
}

}  // namespace paddock::supervisor
