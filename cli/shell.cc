#include "cli/shell.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "cgroups/hierarchy.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "policies/socket_path.h"
#include "sandbox/enter.h"

namespace paddock::cli {
namespace {

constexpr auto kPatience = std::chrono::seconds(15);
constexpr auto kLook = std::chrono::milliseconds(20);

struct Sandbox {
  pid_t keeper = 0;
  std::string cgroup;  // below the cgroup2 mount
};

// Waits until the sandbox runs, which a start, or a request, has asked for.
std::variant<Sandbox, NoAnswer> running_sandbox(const Session &session, const std::string &tenant) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto answer = ask(session, {control::Command::kStatus, tenant, "", {}});
    if (auto *none = std::get_if<NoAnswer>(&answer)) return std::move(*none);
    const auto status = control::result_from_json<control::Status>(std::get<control::Reply>(answer).result);
    if (!status || status->tenants.size() != 1)
      return NoAnswer{
          ExitStatus::kFailed, {}, "the supervisor's answer is of another version than this program"};
    const auto &one = status->tenants.front();
    if (one.state == control::TenantState::kRunning && one.keeper_pid && status->host)
      return Sandbox{*one.keeper_pid, status->host->cgroup + "/tenants/" + tenant};
    if (std::chrono::steady_clock::now() > end)
      return NoAnswer{ExitStatus::kFailed,
                      {},
                      printable(tenant) + " is " + std::string(name_of(one.state)) +
                          (one.problem.empty() ? "" : ": " + printable(one.problem))};
    std::this_thread::sleep_for(kLook);
  }
}

// Held as long as the shell runs: the supervisor does not stop a sandbox for idleness whose file is locked.
Result<UniqueFd> hold(const policies::Runtime &runtime, const std::string &tenant) {
  const std::string path = policies::shell_lock_path(runtime, tenant);
  PADDOCK_TRY(UniqueFd file, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(file.get(), LOCK_SH) != 0) return errno_error("lock " + path);
  return file;
}

std::vector<std::string> environment_of(const policies::Plan &plan, const policies::Tenant &tenant) {
  std::vector<std::string> environment = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                          "USER=" + tenant.user,
                                          "LOGNAME=" + tenant.user,
                                          "HOME=" + tenant.home,
                                          "TMPDIR=/tmp",
                                          "SHELL=/bin/sh"};
  for (const char *name : {"TERM", "LANG"})
    if (const char *value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  environment.insert(environment.end(), plan.environment.begin(), plan.environment.end());
  environment.insert(environment.end(), tenant.environment.begin(), tenant.environment.end());
  return environment;
}

}  // namespace

int shell(const Session &session, const std::string &name, const std::vector<std::string> &command) {
  const auto fail = [&](ExitStatus status, const std::string &why) {
    return static_cast<int>(session.fail(status, why));
  };
  if (::geteuid() != 0) return fail(ExitStatus::kNotPermitted, "to enter a sandbox takes root");
  const auto config = load(session);
  if (!config) return static_cast<int>(ExitStatus::kUsage);
  const auto found = config->tenants.find(name);
  if (found == config->tenants.end())
    return fail(ExitStatus::kUnknownTenant, "unknown tenant " + printable(name));
  const policies::Tenant &tenant = *found->second;
  const policies::Plan &plan = config->plan_of(tenant);

  const auto held = hold(config->runtime, name);
  if (!held) return fail(ExitStatus::kNotRunning, held.error().message());
  const auto started = ask(session, {control::Command::kStart, name, "", {}});
  if (const auto *none = std::get_if<NoAnswer>(&started)) return static_cast<int>(report(session, *none));
  const auto sandbox = running_sandbox(session, name);
  if (const auto *none = std::get_if<NoAnswer>(&sandbox)) return static_cast<int>(report(session, *none));
  const auto &[keeper_pid, cgroup_path] = std::get<Sandbox>(sandbox);
  const UniqueFd keeper(static_cast<int>(::syscall(SYS_pidfd_open, keeper_pid, 0)));
  // The number may have become another process's before it was opened; not after.
  const auto again = running_sandbox(session, name);
  const auto *same = std::get_if<Sandbox>(&again);
  if (!keeper.valid() || same == nullptr || same->keeper != keeper_pid)
    return fail(ExitStatus::kFailed,
                "the sandbox of " + printable(name) + " has just been replaced; try again");
  const auto layout = cgroups::HostLayout::detect();
  if (!layout) return fail(ExitStatus::kFailed, layout.error().message());
  const auto cgroup = open_file(layout->mount + "/" + cgroup_path, O_PATH | O_DIRECTORY);
  if (!cgroup) return fail(ExitStatus::kFailed, cgroup.error().message());

  std::vector<sock_filter> filter(plan.seccomp_filter->size() / sizeof(sock_filter));
  std::memcpy(filter.data(), plan.seccomp_filter->data(), plan.seccomp_filter->size());
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  sandbox::EnterSpec spec;
  spec.keeper = keeper;
  spec.cgroup = *cgroup;
  spec.uid = tenant.uid;
  spec.gid = tenant.gid;
  spec.directory = tenant.home;
  spec.arguments = command.empty() ? std::vector<std::string>{"/bin/sh", "-l"} : command;
  if (spec.arguments.front().find('/') == std::string::npos)
    spec.arguments.insert(spec.arguments.begin(), {"/usr/bin/env", "--"});
  spec.environment = environment_of(plan, tenant);
  spec.seccomp = &program;

  std::optional<Terminal> terminal;
  if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1) {
    auto opened = Terminal::open();
    if (!opened) return fail(ExitStatus::kFailed, opened.error().message());
    terminal = std::move(*opened);
    spec.stdio = {terminal->slave(), terminal->slave(), terminal->slave()};
    spec.terminal = true;
  } else {
    spec.stdio = {BorrowedFd(STDIN_FILENO), BorrowedFd(STDOUT_FILENO), BorrowedFd(STDERR_FILENO)};
  }
  auto child = sandbox::enter(spec);
  if (!child) return fail(ExitStatus::kFailed, child.error().message());
  if (terminal) terminal->close_slave();
  const auto status = terminal ? terminal->relay(*child) : child->wait();
  if (!status) return fail(ExitStatus::kFailed, status.error().message());
  return status->signaled ? 128 + status->code : status->code;
}

}  // namespace paddock::cli
