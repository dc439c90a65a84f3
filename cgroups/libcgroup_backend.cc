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

Result<Group> make(const std::string &name) {
  PADDOCK_CHECK(initialise());
  Group group(::cgroup_new_cgroup(name.c_str()));
  if (!group) return Error{"name the cgroup " + name};
  return group;
}

}  // namespace

Result<void> create(const std::string &name) {
  PADDOCK_TRY(const Group group, make(name));
  const int code = ::cgroup_create_cgroup(group.get(), 1);
  if (code != 0) return failure("create the cgroup " + name, code);
  return {};
}

Result<void> set_value(const std::string &name, const std::string &controller, const std::string &file,
                       const std::string &value) {
  const std::string attempt = "write \"" + value + "\" to " + file + " of the cgroup " + name;
  PADDOCK_TRY(const Group group, make(name));
  cgroup_controller *part = ::cgroup_add_controller(group.get(), controller.c_str());
  if (part == nullptr) return Error{attempt + ": no such controller"};
  int code = ::cgroup_add_value_string(part, file.c_str(), value.c_str());
  if (code == 0) code = ::cgroup_modify_cgroup(group.get());
  if (code != 0) return failure(attempt, code);
  return {};
}

Result<void> attach(const std::string &name, pid_t pid) {
  PADDOCK_TRY(const Group group, make(name));
  const int code = ::cgroup_attach_task_pid(group.get(), pid);
  if (code != 0) return failure("move process " + std::to_string(pid) + " to the cgroup " + name, code);
  return {};
}

}  // namespace paddock::cgroups::libcgroup
