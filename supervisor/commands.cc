#include "supervisor/commands.h"

#include <array>
#include <optional>

#include "base/log.h"
#include "protocols/control/access.h"
#include "protocols/control/reply.h"
#include "protocols/control/request.h"
#include "supervisor/book_commands.h"
#include "supervisor/status.h"
#include "supervisor/supervisor.h"
#include "supervisor/tenant_log.h"

namespace paddock::supervisor {
namespace {

using control::Access;
using control::Command;
using control::ErrorCode;
using control::Request;

std::string action_reply(const Tenant &tenant) {
  return control::ok_reply(control::Action{tenant.settings().name, state_of(tenant)});
}

std::string reply_to(const Result<void> &result, const Tenant &tenant, ErrorCode code = ErrorCode::kFailed) {
  return result ? action_reply(tenant) : control::error_reply(code, result.error().message());
}

std::string start(Tenant &tenant, const Request &) {
  return reply_to(tenant.start(), tenant, ErrorCode::kWrongState);
}
std::string stop(Tenant &tenant, const Request &) {
  tenant.stop();
  return action_reply(tenant);
}
std::string restart(Tenant &tenant, const Request &) {
  tenant.restart();
  return action_reply(tenant);
}
std::string kill(Tenant &tenant, const Request &) {
  tenant.kill();
  return action_reply(tenant);
}
std::string freeze(Tenant &tenant, const Request &) {
  return reply_to(tenant.freeze(), tenant);
}
std::string thaw(Tenant &tenant, const Request &) {
  if (!tenant.frozen())
    return control::error_reply(ErrorCode::kWrongState, tenant.settings().name + " is not frozen");
  return reply_to(tenant.thaw(), tenant);
}
std::string block(Tenant &tenant, const Request &request) {
  Block block{request.reason, {}};
  if (request.until) {
    block.until = std::chrono::system_clock::from_time_t(*request.until);
    if (*block.until <= std::chrono::system_clock::now())
      return control::error_reply(ErrorCode::kBadRequest, "the end of the block is in the past");
  }
  return reply_to(tenant.block(std::move(block)), tenant);
}
std::string unblock(Tenant &tenant, const Request &) {
  if (tenant.block_in_force() == nullptr)
    return control::error_reply(ErrorCode::kWrongState, tenant.settings().name + " is not blocked");
  return reply_to(tenant.unblock(), tenant);
}

// How long the kernel may take to end what was killed until that is told as a failure, and how soon its end
// is noticed.
constexpr auto kKillPatience = std::chrono::seconds(60);
constexpr std::chrono::milliseconds kKillPeriod{5};

// Answers once nothing is left of the run that was killed: who reads "stopped", or "blocked", can rely on it.
Answer when_gone(Supervisor &supervisor, const Tenant &tenant, std::string reply) {
  if (tenant.run() == nullptr) return {std::move(reply)};
  const auto begin = Run::Clock::now();
  const auto gone = [&supervisor, begin, name = tenant.settings().name, run = tenant.run()->started(),
                     keeps = tenant.block_in_force() != nullptr]() -> Answer::Next {
    const Tenant *const now = supervisor.find(name);
    const auto elapsed = Run::Clock::now() - begin;
    if (now != nullptr && now->run() != nullptr && now->run()->started() == run) {
      if (elapsed < kKillPatience) return {};
      return {control::error_reply(ErrorCode::kFailed, "killed, but some of " + name + " is still there: " +
                                                           now->run()->cgroup().path())};
    }
    log::info(name + ": nothing is left after " +
              std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count()) + " ms");
    if (now == nullptr)
      return {control::ok_reply(
          control::Action{name, keeps ? control::TenantState::kBlocked : control::TenantState::kStopped})};
    return {action_reply(*now)};
  };
  return {{}, gone, kKillPeriod};
}

std::string throttle(Tenant &tenant, const Request &request) {
  std::optional<std::chrono::system_clock::time_point> until;
  if (request.until) until = std::chrono::system_clock::from_time_t(*request.until);
  if (until && *until <= std::chrono::system_clock::now())
    return control::error_reply(ErrorCode::kBadRequest, "the end of the throttle is in the past");
  return reply_to(tenant.throttle(request.plan, until), tenant);
}
std::string unthrottle(Tenant &tenant, const Request &) {
  if (tenant.throttle_in_force() == nullptr)
    return control::error_reply(ErrorCode::kWrongState, tenant.settings().name + " is not throttled");
  return reply_to(tenant.unthrottle(), tenant);
}

struct TenantCommand {
  Command command;
  std::string (*act)(Tenant &tenant, const Request &request);
  std::optional<accounting::EventKind> event;  // what the books say of it
};
constexpr std::array kTenantCommands = {
    TenantCommand{Command::kStart, start, {}},
    TenantCommand{Command::kStop, stop, {}},
    TenantCommand{Command::kRestart, restart, {}},
    TenantCommand{Command::kKill, kill, accounting::EventKind::kKill},
    TenantCommand{Command::kFreeze, freeze, accounting::EventKind::kFreeze},
    TenantCommand{Command::kThaw, thaw, accounting::EventKind::kThaw},
    TenantCommand{Command::kBlock, block, accounting::EventKind::kBlock},
    TenantCommand{Command::kUnblock, unblock, accounting::EventKind::kUnblock},
    TenantCommand{Command::kThrottle, throttle, accounting::EventKind::kThrottle},
    TenantCommand{Command::kUnthrottle, unthrottle, accounting::EventKind::kUnthrottle},
};

std::string status(const Supervisor &supervisor, const Request &request, Access access, uid_t uid) {
  control::Status status;
  if (access == Access::kAll) status.host = host_status(supervisor);
  for (const auto &[name, tenant] : supervisor.tenants()) {
    if (!request.tenant.empty() && request.tenant != name) continue;
    if (access != Access::kAll && tenant->settings().uid != uid) continue;
    status.tenants.push_back(status_of(*tenant));
    if (!request.tenant.empty()) add_memory_of_requests(*tenant, status.tenants.back());
  }
  return control::ok_reply(status);
}

std::string sockets(const Supervisor &supervisor, const Request &request) {
  control::Sockets sockets;
  for (const auto &[name, tenant] : supervisor.tenants())
    if (request.tenant.empty() || request.tenant == name)
      sockets.sockets.push_back({name, tenant->socket_path(),
                                 static_cast<std::uint64_t>(tenant->plan().deadline.count()),
                                 static_cast<std::uint64_t>(tenant->plan().queue_time.count()),
                                 std::string(policies::name_of(tenant->settings().program))});
  return control::ok_reply(sockets);
}

std::string reload(Supervisor &supervisor, const Request &request) {
  const bool known = supervisor.find(request.tenant) != nullptr;
  const auto reloaded =
      request.tenant.empty() ? supervisor.reload() : supervisor.reload_tenant(request.tenant);
  if (!reloaded) return control::error_reply(ErrorCode::kConfig, reloaded.error().message());
  if (!request.tenant.empty() && !known && reloaded->added.empty() && reloaded->findings.empty())
    return control::error_reply(ErrorCode::kUnknownTenant,
                                "no tenant " + log::quoted(request.tenant) +
                                    ", and no file of that name that the config includes declares it");
  return control::ok_reply(*reloaded);
}

std::string doctor(const Supervisor &supervisor) {
  control::Doctor doctor;
  doctor.host = host_status(supervisor);
  if (doctor.host.gateway_pid == 0)
    doctor.findings.push_back({control::FindingSeverity::kError, "gateway", "it is not running now",
                               "the supervisor's log says why it ended; it is started again by itself"});
  for (const auto &zygote : doctor.host.zygotes)
    if (zygote.version.empty())
      doctor.findings.push_back({control::FindingSeverity::kError, "PHP " + zygote.php,
                                 "its zygote is not ready: no sandbox with it can start",
                                 "the supervisor's log says why; it is started again by itself, as soon as "
                                 "paddock-php" +
                                     zygote.php + " is installed"});
  for (const auto &[name, refusal] : supervisor.refused_plans())
    doctor.findings.push_back({control::FindingSeverity::kError, "plan " + name, refusal.message(),
                               "tenants that ran keep their old settings, others cannot start; correct the "
                               "limit, then paddock reload"});
  for (const auto &[name, tenant] : supervisor.tenants())
    if (!tenant->settings().problem.empty())
      doctor.findings.push_back(
          {control::FindingSeverity::kWarning, "tenant " + name, tenant->settings().problem,
           "make the account or its home, or take the tenant out; then paddock reload"});
  return control::ok_reply(doctor);
}

// Passed on as it is: whoever shows it, reads it.
std::string log_end(const Supervisor &supervisor, const Request &request) {
  const auto text = read_tenant_log(supervisor.config().runtime, request.tenant, control::TenantLog::kLimit);
  if (!text) return control::error_reply(ErrorCode::kFailed, text.error().message());
  return control::ok_reply(control::TenantLog{*text});
}

// Whose the token is, and that somebody asked.
std::string login(Supervisor &supervisor, const Request &request) {
  const std::string from = request.from.empty() ? "dashboard" : "dashboard, " + request.from;
  const auto who = supervisor.logins().who(supervisor.config().dashboard.token_file, request.token);
  if (!who) return control::error_reply(ErrorCode::kFailed, who.error().message());
  if (!*who) {
    supervisor.accountant().note(accounting::EventKind::kLoginFailed, {}, from, "an unknown token");
    return control::error_reply(ErrorCode::kNotPermitted, "the token is nobody's, or was used up");
  }
  // Prometheus comes every few seconds.
  if ((*who)->role != kMetricsRole)
    supervisor.accountant().note(accounting::EventKind::kLogin, (*who)->tenant, from, (*who)->role);
  return control::ok_reply(**who);
}

std::string link(Supervisor &supervisor, const Peer &peer, const Request &request) {
  const auto &dashboard = supervisor.config().dashboard;
  if (dashboard.listen.empty())
    return control::error_reply(ErrorCode::kWrongState, "there is no dashboard: dashboard.listen is empty");
  const auto made = supervisor.logins().make_link(request.tenant);
  if (!made) return control::error_reply(ErrorCode::kFailed, made.error().message());
  supervisor.accountant().note(accounting::EventKind::kLink, request.tenant,
                               "uid " + std::to_string(peer.uid), {});
  const std::string base = dashboard.public_url.empty() ? "http://" + dashboard.listen : dashboard.public_url;
  return control::ok_reply(control::Link{base + "/#link=" + made->code, made->valid_until});
}

}  // namespace

Answer answer_command(Supervisor &supervisor, const Peer &peer, const std::string &line) {
  const auto refuse = [](ErrorCode code, const std::string &why) {
    return Answer{control::error_reply(code, why)};
  };
  const auto request = control::parse_request(line);
  if (!request) return refuse(ErrorCode::kBadRequest, request.error().message());
  Tenant *tenant = request->tenant.empty() ? nullptr : supervisor.find(request->tenant);
  const Access access = access_to(supervisor, peer, *request);
  if (access == Access::kDenied)
    return refuse(ErrorCode::kNotPermitted,
                  std::string(control::name_of(request->command)) + ": not permitted");
  if (!request->tenant.empty() && tenant == nullptr && request->command != Command::kReload &&
      !is_in_the_books(supervisor, *request))
    return refuse(ErrorCode::kUnknownTenant, "no tenant " + log::quoted(request->tenant));

  const std::string actor =
      request->token.empty()
          ? "uid " + std::to_string(peer.uid)
          : "admin by dashboard" +
                (request->from.empty() ? std::string() : ", " + log::quoted(request->from, 64));
  for (const auto &[command, act, event] : kTenantCommands) {
    if (command != request->command) continue;
    // Before it is done, so that the snapshot shows what the tenant was doing.
    if (event)
      supervisor.accountant().note(*event, tenant->settings().name, actor,
                                   request->plan.empty() ? request->reason : "to " + request->plan);
    log::info(std::string(control::name_of(command)) + " " + tenant->settings().name + " by " + actor +
              (request->reason.empty() ? std::string() : ": " + log::quoted(request->reason)));
    std::string reply = act(*tenant, *request);
    if (command == Command::kKill || (command == Command::kBlock && tenant->block_in_force() != nullptr))
      return when_gone(supervisor, *tenant, std::move(reply));
    return {std::move(reply)};
  }
  switch (request->command) {
    case Command::kStatus:
      return {status(supervisor, *request, access, peer.uid)};
    case Command::kSockets:
      return {sockets(supervisor, *request)};
    case Command::kReload:
      return {reload(supervisor, *request)};
    case Command::kLink:
      return {link(supervisor, peer, *request)};
    case Command::kLogin:
      return {login(supervisor, *request)};
    case Command::kDoctor:
      return {doctor(supervisor)};
    case Command::kUsage:
      return {usage(supervisor, peer, *request)};
    case Command::kEvents:
      return events(supervisor, peer, *request);
    case Command::kLog:
      return {log_end(supervisor, *request)};
    case Command::kRules:
      return {rule_report(supervisor)};
    case Command::kSamples:
      return samples(supervisor, peer, *request);
    case Command::kVersion:
      return {control::ok_reply(control::Version{PADDOCK_VERSION})};
    default:
      return refuse(ErrorCode::kBadRequest, "unknown command");
  }
}

}  // namespace paddock::supervisor
