#include "network/probe.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "network/firewall.h"
#include "network/interface.h"
#include "network/rules.h"

namespace paddock::network {
namespace {

Rules every_kind_of_rule() {
  Rules rules;
  rules.range = {0x0A000000, 24};  // in a namespace where nothing else is
  rules.resolver = 0x7F000035;
  PlanRules plan;
  plan.plan = "probe";
  plan.group = group_of_plan(plan.plan);
  plan.closed_ports = {25};
  plan.services = {{{0x7F000001, 32}, 80, false}};
  plan.new_per_second = 1;
  rules.plans.push_back(plan);
  return rules;
}

Result<void> try_everything() {
  const Rules rules = every_kind_of_rule();
  PADDOCK_CHECK(apply_ruleset(ruleset(rules)));
  TenantLink link;
  link.interface = std::string(kInterfacePrefix) + "2";
  link.tenant = "probe";
  link.group = rules.plans.front().group;
  link.address = rules.gateway() + 1;
  link.gateway = rules.gateway();
  const auto made = make_tenant_link(link);
  if (!made) return made.error();
  return {};
}

}  // namespace

int in_private_network(int (*action)(void *), void *argument) {
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) ::_exit(::unshare(CLONE_NEWNET) != 0 ? errno : action(argument));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

Result<void> probe_kernel() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  int told = write_end.get();
  const int status = in_private_network(
      [](void *argument) {
        const auto done = try_everything();
        if (done) return 0;
        [[maybe_unused]] const auto written =
            write_all(BorrowedFd(*static_cast<int *>(argument)), done.error().message());
        return 1;
      },
      &told);
  write_end.reset();
  if (status == 0) return {};
  const auto why = read_all(read_end);
  if (why && !why->empty()) return Error{*why};
  return errno_error("make a network namespace", status);
}

}  // namespace paddock::network
