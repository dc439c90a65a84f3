#include "sandbox/enter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstdlib>

#include "base/file.h"
#include "sandbox/detached_tree.h"
#include "sandbox/test_sandbox.h"

using namespace paddock;
using namespace paddock::sandbox;
using Catch::Contains;

namespace {

// A sandbox whose pid 1 has made /tmp/mark and waits.
class RunningSandbox {
 public:
  explicit RunningSandbox(const std::string &home) {
    const auto tree = open_detached_tree(home, {.owner = kTenant});
    REQUIRE(tree.ok());
    const std::string said = in_base_view([&](const BaseView &base) {
      SandboxSpec spec;
      spec.name = "alice";
      spec.uid = spec.gid = kTenant;
      spec.user = "alice";
      spec.home = home;
      spec.home_tree = *tree;
      spec.parent_of_caller = true;
      spec.network = Network::kNone;
      auto prepared = PreparedSandbox::prepare(base, spec);
      if (!prepared) return prepared.error().message();
      auto spawned = prepared->spawn(
          [](void *, ViewGate &) {
            ::close(::open("/tmp/mark", O_WRONLY | O_CREAT, 0600));
            for (;;) ::pause();
            return 0;
          },
          nullptr);
      if (!spawned) return spawned.error().message();
      return spawned->failure ? spawned->failure->message() : std::to_string(spawned->child.pid());
    });
    INFO(said);
    pid = std::atoi(said.c_str());
    REQUIRE(pid > 0);
    pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    REQUIRE(pidfd.valid());
  }
  ~RunningSandbox() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, __WALL);
  }
  RunningSandbox(const RunningSandbox &) = delete;
  RunningSandbox &operator=(const RunningSandbox &) = delete;

  pid_t pid = 0;
  UniqueFd pidfd;
};

struct Ran {
  std::string said;
  std::string failure;
  int code = -1;
};

Ran run_command(const RunningSandbox &sandbox, const std::string &command,
                const std::string &directory = "/") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  EnterSpec spec;
  spec.keeper = sandbox.pidfd;
  spec.uid = spec.gid = kTenant;
  spec.directory = directory;
  spec.arguments = {"/bin/sh", "-c", command};
  spec.environment = {"PATH=/usr/bin:/bin", "GREETING=hello"};
  spec.stdio[1] = writer;
  spec.stdio[2] = writer;
  auto child = enter(spec);
  writer.reset();
  Ran ran;
  if (!child) {
    ran.failure = child.error().message();
    return ran;
  }
  ran.said = *read_all(reader);
  pollfd ended{child->pidfd().get(), POLLIN, 0};
  ::poll(&ended, 1, 30'000);
  if (const auto status = child->try_reap(); status && *status) ran.code = (*status)->code;
  return ran;
}

std::string namespace_of(const std::string &process, const std::string &name) {
  char target[64] = {};
  const std::string path = "/proc/" + process + "/ns/" + name;
  return ::readlink(path.c_str(), target, sizeof target - 1) > 0 ? target : "?";
}

}  // namespace

TEST_CASE("a command enters all namespaces of a sandbox, with its rights") {
  const HostDirectory host;
  const RunningSandbox sandbox(host.home);
  const std::string own = namespace_of("self", "pid");
  for (int i = 0; i < 200; ++i) {  // pid 1 may not have run its first line yet
    if (::access(("/proc/" + std::to_string(sandbox.pid) + "/root/tmp/mark").c_str(), F_OK) == 0) break;
    ::usleep(10'000);
  }
  const auto ran =
      run_command(sandbox,
                  "ls /tmp; id; hostname; echo $GREETING $PWD; cat /proc/self/cgroup; "
                  "for n in user mnt pid ipc uts cgroup net; do readlink /proc/self/ns/$n; done; "
                  "grep -E '^(Cap|NoNew)' /proc/self/status; ls /proc | grep -c '^[0-9]'; "
                  "ls -l /proc/self/fd | grep -c ' -> '; touch /usr/x; exit 3",
                  host.home);
  CHECK(ran.failure.empty());
  CHECK(ran.code == 3);
  CHECK_THAT(ran.said, Catch::StartsWith("mark\n"));
  CHECK_THAT(ran.said, Contains("uid=54321(alice) gid=54321(alice) groups=54321(alice)\n"));
  CHECK_THAT(ran.said, Contains("\nalice\nhello " + host.home + "\n"));
  CHECK_THAT(ran.said, Contains("CapPrm:\t0000000000000000") && Contains("CapBnd:\t0000000000000000") &&
                           Contains("NoNewPrivs:\t1"));
  CHECK_THAT(ran.said, Contains("Read-only file system"));
  for (const char *name : {"user", "mnt", "pid", "ipc", "uts", "cgroup", "net"})
    CHECK_THAT(ran.said, Contains(namespace_of(std::to_string(sandbox.pid), name)));
  // The caller's children are its own again.
  CHECK(namespace_of("self", "pid_for_children") == own);
}

TEST_CASE("a command that cannot be started is an error that says why") {
  const HostDirectory host;
  const RunningSandbox sandbox(host.home);
  EnterSpec spec;
  spec.keeper = sandbox.pidfd;
  spec.uid = spec.gid = kTenant;
  spec.arguments = {"/no/such/program"};
  CHECK(enter(spec).error().message() ==
        "enter the sandbox: execute /no/such/program: No such file or directory");
  spec.arguments = {"/bin/true"};
  spec.directory = host.neighbour;
  CHECK_THAT(enter(spec).error().message(),
             Contains("change directory " + host.neighbour + ": No such file"));
  spec.directory = "/";
  spec.uid = 0;
  CHECK(enter(spec).error().code == EINVAL);
  spec.uid = kNeighbour;
  CHECK_THAT(enter(spec).error().message(), Contains("become the tenant: Invalid argument"));
  CHECK(::waitpid(-1, nullptr, WNOHANG) <= 0);
}

TEST_CASE("a sandbox that has ended cannot be entered") {
  const HostDirectory host;
  EnterSpec spec;
  spec.uid = spec.gid = kTenant;
  spec.arguments = {"/bin/true"};
  UniqueFd pidfd;
  {
    RunningSandbox sandbox(host.home);
    pidfd = std::move(sandbox.pidfd);
  }
  spec.keeper = pidfd;
  const auto entered = enter(spec);
  REQUIRE_FALSE(entered.ok());
  CHECK(entered.error().code == ESRCH);
}
