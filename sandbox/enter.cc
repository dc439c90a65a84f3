#include "sandbox/enter.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>

#include "sandbox/privileges.h"
#include "sandbox/steps.h"

namespace paddock::sandbox {
namespace {

struct Plan {
  const EnterSpec &spec;
  std::vector<char *> arguments;
  std::vector<char *> environment;
  int stdio[3] = {-1, -1, -1};
  int report = -1;
  const char *object = "";
};

constexpr int kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET;

constexpr Step<Plan> kSteps[] = {
    // All at once: after the user namespace alone the others could not be joined, and before it not left.
    {"join the namespaces", [](Plan &plan) { return code_of(::setns(plan.spec.keeper.get(), kNamespaces)); }},
    {"become the tenant", [](Plan &plan) { return become(plan.spec.uid, plan.spec.gid); }},
    {"start a session", [](Plan &) { return code_of(::setsid()); }},
    {"change directory",
     [](Plan &plan) {
       plan.object = plan.spec.directory.c_str();
       return code_of(::chdir(plan.object));
     }},
    {"set standard descriptors", [](Plan &plan) { return set_stdio(plan.stdio); }},
    {"take the terminal",
     [](Plan &plan) { return plan.spec.terminal ? code_of(::ioctl(0, TIOCSCTTY, 0)) : 0; }},
    {"close descriptors", [](Plan &plan) { return close_all_but(&plan.report, 1); }},
    {"join a session keyring", [](Plan &) { return join_session_keyring(); }},
    {"forbid core dumps", [](Plan &) { return forbid_core_dumps(); }},
    {"drop capabilities", [](Plan &) { return drop_capabilities(); }},
    {"set no_new_privs", [](Plan &) { return set_no_new_privs(); }},
    {"load the seccomp filter", [](Plan &plan) { return load_seccomp(plan.spec.seccomp); }},
    {"execute",
     [](Plan &plan) {
       plan.object = plan.arguments[0];
       sigset_t none;
       sigemptyset(&none);
       ::sigprocmask(SIG_SETMASK, &none, nullptr);
       ::execve(plan.object, plan.arguments.data(), plan.environment.data());
       return errno;
     }},
};

std::vector<char *> pointers(const std::vector<std::string> &strings) {
  std::vector<char *> result;
  for (const auto &string : strings) result.push_back(const_cast<char *>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

Result<UniqueFd> lifted(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return errno_error("duplicate descriptor " + std::to_string(fd));
  return copy;
}

}  // namespace

Result<Child> enter(const EnterSpec &spec) {
  const std::string attempt = "enter the sandbox";
  if (spec.arguments.empty() || spec.uid == 0 || spec.gid == 0) return errno_error(attempt, EINVAL);
  Plan plan{spec, pointers(spec.arguments), pointers(spec.environment)};
  std::vector<UniqueFd> owned;
  for (std::size_t i = 0; i < spec.stdio.size(); ++i) {
    if (!spec.stdio[i].valid()) continue;
    PADDOCK_TRY(UniqueFd copy, lifted(spec.stdio[i].get()));
    plan.stdio[i] = copy.get();
    owned.push_back(std::move(copy));
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(attempt);
  const UniqueFd report_read(ends[0]);
  UniqueFd report_end(ends[1]);
  PADDOCK_TRY(UniqueFd report_write, lifted(report_end.get()));
  report_end.reset();
  plan.report = report_write.get();

  // The pid namespace applies to children only (setns(2)), so it is the caller who joins it, for one clone.
  const UniqueFd own(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!own.valid()) return errno_error(attempt);
  if (::setns(spec.keeper.get(), CLONE_NEWPID) != 0) return errno_error(attempt + ": join its pid namespace");

  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (spec.cgroup.valid()) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<__u64>(spec.cgroup.get());
  }
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  const int clone_code = errno;
  if (pid == 0) {
    const StepReport report = run_steps(std::span<const Step<Plan>>(kSteps), plan);
    [[maybe_unused]] const ssize_t told = ::write(plan.report, &report, sizeof report);
    ::_exit(127);
  }
  const int back = ::setns(own.get(), CLONE_NEWPID);
  if (pid < 0) return errno_error(attempt + ": clone3", clone_code);
  Child child(pid, UniqueFd(pidfd));
  report_write.reset();
  StepReport report;
  ssize_t got = 0;
  do {
    got = ::read(report_read.get(), &report, sizeof report);
  } while (got < 0 && errno == EINTR);
  Error failure;
  if (got == sizeof report && report.step < std::size(kSteps)) {
    std::string step = kSteps[report.step].name;
    if (report.object[0] != '\0') step += std::string(" ") + report.object;
    failure = errno_error(attempt + ": " + step, report.code);
  } else if (back != 0) {
    failure = errno_error(attempt + ": return to the own pid namespace", EPERM);
    [[maybe_unused]] const auto killed = child.signal(SIGKILL);
  } else {
    return child;
  }
  siginfo_t info{};
  ::waitid(P_PIDFD, static_cast<id_t>(child.pidfd().get()), &info, WEXITED | __WALL);
  return failure;
}

}  // namespace paddock::sandbox
