// What the tests of this folder share: a host directory with a tenant's home, and sandboxes around functions.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "sandbox/sandbox.h"

namespace paddock::sandbox {

inline constexpr uid_t kTenant = 54321;
inline constexpr uid_t kNeighbour = 54322;

// A private directory below /tmp with two homes, 0701 and each its user's. Removed with what is in it.
class HostDirectory {
 public:
  HostDirectory();
  ~HostDirectory();
  HostDirectory(const HostDirectory &) = delete;
  HostDirectory &operator=(const HostDirectory &) = delete;

  std::string path;
  std::string home;
  std::string neighbour;
};

// How a sandbox ended.
struct Outcome {
  std::string said;  // what the body returned
  ExitStatus status;
  std::string failure;  // Spawned::failure or the Error of prepare() or spawn(); empty: none
  std::chrono::microseconds took{0};
};

using Body = std::function<std::string()>;
using Adjust = std::function<void(SandboxSpec &)>;

// Starts a process in a base view that does `action`, and waits for it; returns what the action returned.
std::string in_base_view(const std::function<std::string(const BaseView &)> &action,
                         const BaseViewOptions &options = {});

// Runs `body` as pid 1 of a sandbox of kTenant with `home`; `adjust` may change the spec before.
Outcome run(const std::string &home, const Body &body, const Adjust &adjust = {});

// The mounts of the calling process, and its children: compared before and after a test.
std::string mounts();
int count_children();

// "EPERM" for the errno that `result` < 0 left, "ok" otherwise.
std::string answer(long result);

}  // namespace paddock::sandbox
