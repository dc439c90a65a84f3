#include "sandbox/give_memory.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "base/file.h"
#include "sandbox/detached_tree.h"
#include "sandbox/sandbox.h"
#include "sandbox/test_sandbox.h"

using namespace paddock;
using namespace paddock::sandbox;
using Catch::Matchers::Contains;

namespace {

struct Job {
  std::string home;
  int pipe = -1;
  std::string kept;  // on the heap: longer than what a string has room for itself

  void say(const std::string &text) const { CHECK(write_all(BorrowedFd(pipe), text + "\n").ok()); }
};

// What a process has before it, and what it may do.
std::string outlook(const std::string &home) {
  struct stat root {};
  if (::stat("/", &root) != 0) return "no root";
  const bool at_home = ::access(home.c_str(), R_OK | W_OK | X_OK) == 0;
  const auto status = read_file("/proc/self/status");
  const auto rights = status ? status->find("CapBnd:\t0000000000000000\n") : std::string::npos;
  return "root " + std::to_string(root.st_dev) + ":" + std::to_string(root.st_ino) +
         (at_home ? " home" : "") + (rights != std::string::npos ? " no rights" : "");
}

std::string allowed_cpus() {
  const auto status = read_file("/proc/self/status");
  const auto at = status ? status->find("Cpus_allowed_list:") : std::string::npos;
  return at == std::string::npos ? "?" : status->substr(at, status->find('\n', at) - at);
}

int early_entry(void *argument, ViewGate &gate) {
  const auto &job = *static_cast<const Job *>(argument);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (!gate.await()) ::_exit(1);
    job.say(outlook(job.home));
    ::_exit(0);
  }
  if (!gate.open()) return 1;
  int status = -1;
  ::waitpid(pid, &status, 0);
  job.say(outlook(job.home));
  job.say(allowed_cpus());
  return status == 0 ? 0 : 2;
}

int given_entry(void *argument, ViewGate &) {
  const auto &job = *static_cast<const Job *>(argument);
  job.say("entry, kept: " + job.kept + ", cpu " + (::sched_getcpu() >= 0 ? "known" : "unknown") + ", pid " +
          std::to_string(::getpid()));
  return 7;
}

SandboxSpec spec_of(const std::string &home, BorrowedFd tree, int pipe) {
  SandboxSpec spec;
  spec.name = "alice";
  spec.uid = spec.gid = kTenant;
  spec.user = "alice";
  spec.home = home;
  spec.home_tree = tree;
  spec.dumpable = true;
  spec.keep_fds = {pipe};
  return spec;
}

// In a base view: a process gives its memory to a sandbox. What all of them say, and how they end.
std::string give(const Adjust &adjust = {}) {
  const HostDirectory host;
  const auto tree = open_detached_tree(host.home, {.owner = kTenant});
  REQUIRE(tree.ok());
  return in_base_view([&](const BaseView &base) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::string("pipe2");
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    const pid_t giver = ::fork();
    if (giver == 0) {
      auto spec = spec_of(host.home, *tree, writer.get());
      spec.parent_of_caller = true;
      if (adjust) adjust(spec);
      Job job{host.home, writer.get(), std::string(100, 'k')};
      auto prepared = PreparedSandbox::prepare(base, spec);
      if (!prepared) ::_exit(9);
      const Error error =
          prepared->give(given_entry, &job,
                         {[](void *argument, Child child) {
                            static_cast<Job *>(argument)->say("cloned " + std::to_string(child.pid()));
                          },
                          [](void *argument, const Error &why) {
                            static_cast<Job *>(argument)->say("failed: " + why.message());
                          }});
      job.say(error.message());
      ::_exit(8);
    }
    writer.reset();
    std::string said = *read_all(reader);
    int status = -1;
    ::waitpid(giver, &status, 0);
    said += "giver " + std::to_string(status);
    const pid_t sandbox = ::waitpid(-1, &status, __WALL);
    said += sandbox > 0 && WIFEXITED(status) ? ", sandbox " + std::to_string(WEXITSTATUS(status))
                                             : ", no sandbox";
    return said;
  });
}

}  // namespace

TEST_CASE("who is forked while the view is built finds itself in it") {
  const HostDirectory host;
  for (int round = 0; round < 20; ++round) {
    const auto tree = open_detached_tree(host.home, {.owner = kTenant});
    REQUIRE(tree.ok());
    const std::string said = in_base_view([&](const BaseView &base) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0) return std::string("pipe2");
      const UniqueFd reader(ends[0]);
      UniqueFd writer(ends[1]);
      auto spec = spec_of(host.home, *tree, writer.get());
      spec.entry_comes_early = true;
      Job job{host.home, writer.get(), {}};
      auto prepared = PreparedSandbox::prepare(base, spec);
      if (!prepared) return prepared.error().message();
      const auto spawned = prepared->spawn(early_entry, &job);
      if (!spawned) return spawned.error().message();
      if (spawned->failure) return spawned->failure->message();
      writer.reset();
      std::string all = *read_all(reader);
      const auto status = spawned->child.wait();
      return all + (status ? status->to_string() : status.error().message()) + " " + outlook(host.home);
    });
    INFO(said);
    const auto line = said.find('\n');
    REQUIRE(line != std::string::npos);
    const std::string forked = said.substr(0, line);
    CHECK_THAT(forked, Catch::EndsWith(" home no rights"));
    CHECK(said.substr(line + 1, line) == forked);  // the sandbox's first process
    CHECK_THAT(said, Contains("exit status 0"));
    CHECK_THAT(said, Contains("\n" + allowed_cpus() + "\n"));  // the builder alone was sent to another CPU
    const std::string root = forked.substr(0, forked.find(" home"));
    CHECK_THAT(said, !Contains("exit status 0 " + root + "\n") && !Catch::EndsWith(root));
  }
}

TEST_CASE("who waits for a view that cannot be built ends") {
  const HostDirectory host;
  const auto tree = open_detached_tree(host.home, {.owner = kTenant});
  REQUIRE(tree.ok());
  const std::string said = in_base_view([&](const BaseView &base) {
    auto spec = spec_of(host.home, *tree, -1);
    spec.keep_fds.clear();
    spec.binds.push_back({*tree, "/usr/no/such/place"});
    spec.entry_comes_early = true;
    Job job{host.home, -1, {}};
    auto prepared = PreparedSandbox::prepare(base, spec);
    if (!prepared) return prepared.error().message();
    const auto spawned = prepared->spawn(early_entry, &job);
    if (!spawned) return spawned.error().message();
    const auto status = spawned->child.wait();
    return (spawned->failure ? spawned->failure->message() : "it stands") + ", " +
           (status ? status->to_string() : status.error().message());
  });
  CHECK_THAT(said, Contains("bind /usr/no/such/place: ") && Contains(", exit status 1"));
}

TEST_CASE("a process gives its memory to the sandbox that it clones, and ends") {
  if (!kCanGiveMemory) {
    WARN("not in this build");
    return;
  }
  const std::string said = give();
  INFO(said);
  CHECK_THAT(said, Catch::StartsWith("cloned "));
  CHECK_THAT(said, Contains("\nentry, kept: " + std::string(100, 'k') + ", cpu known, pid 1\n"));
  CHECK_THAT(said, Catch::EndsWith("giver 0, sandbox 7"));
}

TEST_CASE("where memory was given, the sandbox itself tells what it lacks") {
  if (!kCanGiveMemory) {
    WARN("not in this build");
    return;
  }
  const sock_filter nonsense{0xffff, 0, 0, 0};
  const sock_fprog filter{1, const_cast<sock_filter *>(&nonsense)};
  const std::string rights = give([&](SandboxSpec &spec) { spec.seccomp = &filter; });
  INFO(rights);
  CHECK_THAT(rights,
             Contains("\nfailed: build the sandbox of alice: load the seccomp filter: Invalid argument\n"));
  CHECK_THAT(rights, Catch::EndsWith("giver 0, sandbox 127"));

  const std::string view = give([](SandboxSpec &spec) {
    spec.binds.push_back({spec.home_tree, "/usr/no/such/place"});
  });
  INFO(view);
  CHECK_THAT(view, Contains("\nfailed: build the sandbox of alice: bind /usr/no/such/place: "));
  CHECK_THAT(view, Catch::EndsWith("giver 0, sandbox 127"));
}
