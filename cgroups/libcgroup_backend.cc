#include "cgroups/libcgroup_backend.h"

#include <libcgroup.h>

#include <memory>

namespace paddock::cgroups::libcgroup {
namespace {

struct Free {
  void operator()(cgroup *group) const { ::cgroup_free(&group); }
};
using Group = std::unique_ptr<cgroup, Free>;

// libcgroup's own codes have no errno; where the kernel refused, ECGOTHER says so and the errno is kept
// beside it.
Error failure(const std::string &attempt, int code) {
  if (code == ECGOTHER) return errno_error(attempt, ::cgroup_get_last_errno());
  return Error{attempt + ": " + ::cgroup_strerror(code)};
}

Result<void> initialise() {
  // Reads the mount table into libcgroup's globals, once for the process.
  static const int code = ::cgroup_init();
  if (code != 0) return failure("read the cgroup mounts", code);
  return {};
}

// libcgroup's description of a cgroup, with one controller: without, its calls do nothing and succeed.
struct Described {
  Group group;
  cgroup_controller *controller = nullptr;
};

Result<Described> describe(const std::string &name, const std::string &controller) {
  PADDOCK_CHECK(initialise());
  Described described{Group(::cgroup_new_cgroup(name.c_str()))};
  if (described.group)
    described.controller = ::cgroup_add_controller(described.group.get(), controller.c_str());
  if (described.controller == nullptr)
    return Error{"describe the cgroup " + name + " with controller " + controller};
  return described;
}

}  // namespace

Result<void> create(const std::string &name, const std::string &controller) {
  PADDOCK_TRY(const Described described, describe(name, controller));
  const int code = ::cgroup_create_cgroup(described.group.get(), 1);
  if (code != 0) return failure("create the cgroup " + name, code);
  return {};
}

Result<void> set_value(const std::string &name, const std::string &controller, const std::string &file,
                       const std::string &value) {
  const std::string attempt = "write \"" + value + "\" to " + file + " of the cgroup " + name;
  PADDOCK_TRY(const Described described, describe(name, controller));
  int code = ::cgroup_add_value_string(described.controller, file.c_str(), value.c_str());
  if (code == 0) code = ::cgroup_modify_cgroup(described.group.get());
  if (code != 0) return failure(attempt, code);
  return {};
}

Result<void> attach(const std::string &name, const std::string &controller, pid_t pid) {
  PADDOCK_TRY(const Described described, describe(name, controller));
  const int code = ::cgroup_attach_task_pid(described.group.get(), pid);
  if (code != 0) return failure("move process " + std::to_string(pid) + " to the cgroup " + name, code);
  return {};
}

}  // namespace paddock::cgroups::libcgroup
