// What a hostile tenant tries: a table of attempts, each a function that does one thing and says how it
// ended.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace paddock::attackers {

// Who proves that the attempt works where there is no sandbox.
enum class Control {
  kUser,  // the tenant's own account on the host
  kRoot,  // root on the host, in a mount, IPC and UTS namespace that is thrown away
  kNone,  // nobody: `why` says why not
};

struct Attempt {
  const char *name;
  const char *what;
  std::string refusal;  // what run() must say in a sandbox
  Control control;
  std::string without;  // what it must say in the control run; "*": anything but the refusal
  std::function<std::string()> run;
  const char *why = "";
};

using Attempts = std::vector<Attempt>;

// "ok", or the name of the errno that a call which returned `result` left.
std::string said(long result);
// What the harness was told about the host: paths and pids of others. Ends the program if it is missing.
std::string fact(const char *name);
int number(const char *name);
// In a control run: a network namespace that is thrown away, so that the host's stays as it is.
void own_network();
// "/proc/1", the keeper of the sandbox; in a control run the neighbour's, by its number on the host.
std::string keeper();

void add_view_attempts(Attempts &attempts);
void add_process_attempts(Attempts &attempts);
void add_kernel_attempts(Attempts &attempts);
void add_network_attempts(Attempts &attempts);
void add_resource_attempts(Attempts &attempts);

}  // namespace paddock::attackers
