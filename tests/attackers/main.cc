// attacker sandbox|user|root [NAME=FACT...]: makes every attempt that has a part there, each in a process of
// its own, and prints a line "NAME<TAB>OUTCOME<TAB>EXPECTED" for each. With the fact only=NAME,NAME...
// these alone. attacker list: the table.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>

#include "attempt.h"

namespace paddock::attackers {
namespace {

std::map<std::string, std::string> facts;
bool in_sandbox = false;
constexpr unsigned kSeconds = 20;

bool set_up_control() {
  return ::unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

// In a child: an attempt may end the process, or leave it without rights.
std::string outcome_of(const Attempt &attempt, bool as_root) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "pipe: " + said(-1);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(ends[0]);
    ::alarm(kSeconds);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // What one attempt does to the mounts must not be what the next one finds.
    const std::string outcome =
        as_root && !set_up_control() ? "namespaces for the control run: " + said(-1) : attempt.run();
    const bool told =
        ::write(ends[1], outcome.data(), outcome.size()) == static_cast<ssize_t>(outcome.size());
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  if (pid < 0) return "fork: " + said(-1);
  std::string outcome;
  char buffer[512];
  // Children of an attempt have the pipe too, until the attempt's own process has gone.
  int status = 0;
  ::waitpid(pid, &status, 0);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    outcome.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  if (WIFSIGNALED(status)) return std::string("killed by SIG") + sigabbrev_np(WTERMSIG(status));
  for (char &c : outcome)
    if (c == '\n' || c == '\t') c = ' ';
  return outcome;
}

const char *name_of(Control control) {
  return control == Control::kUser ? "user" : control == Control::kRoot ? "root" : "none";
}

int run(int argc, char **argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  in_sandbox = mode == "sandbox";
  for (int i = 2; i < argc; ++i)
    if (const char *equals = std::strchr(argv[i], '='); equals != nullptr)
      facts[std::string(argv[i], static_cast<std::size_t>(equals - argv[i]))] = equals + 1;
  Attempts attempts;
  add_view_attempts(attempts);
  add_process_attempts(attempts);
  add_kernel_attempts(attempts);
  add_network_attempts(attempts);
  add_resource_attempts(attempts);
  if (mode == "list") {
    for (const auto &attempt : attempts)
      std::printf("%s\t%s\t%s\t%s\t%s\n", attempt.name, attempt.what, attempt.refusal.c_str(),
                  name_of(attempt.control),
                  attempt.control == Control::kNone ? attempt.why : attempt.without.c_str());
    return 0;
  }
  if (mode != "sandbox" && mode != "user" && mode != "root") return 2;
  const auto only = facts.find("only");
  for (const auto &attempt : attempts) {
    if (only != facts.end() &&
        ("," + only->second + ",").find("," + std::string(attempt.name) + ",") == std::string::npos)
      continue;
    if (mode != "sandbox" && mode != name_of(attempt.control)) continue;
    const std::string expected = mode == "sandbox"        ? attempt.refusal
                                 : attempt.without == "*" ? "not " + attempt.refusal
                                                          : attempt.without;
    std::printf("%s\t%s\t%s\n", attempt.name, outcome_of(attempt, mode == "root").c_str(), expected.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

std::string said(long result) {
  if (result >= 0) return "ok";
  const char *name = ::strerrorname_np(errno);
  return name == nullptr ? std::to_string(errno) : name;
}

std::string fact(const char *name) {
  const auto found = facts.find(name);
  if (found != facts.end()) return found->second;
  std::fprintf(stderr, "the harness has not told %s\n", name);
  std::abort();
}

std::string keeper() {
  return "/proc/" + (in_sandbox ? std::string("1") : fact("neighbour"));
}

void own_network() {
  if (in_sandbox || ::unshare(CLONE_NEWNET) == 0) return;
  std::perror("a network namespace for the control run");
  std::abort();
}

int number(const char *name) {
  return std::atoi(fact(name).c_str());
}

}  // namespace paddock::attackers

int main(int argc, char **argv) {
  return paddock::attackers::run(argc, argv);
}
