// Paddock's part of the host's cgroup v2 hierarchy:
//
//     BASE/supervisor  BASE/gateway  BASE/zygote  BASE/dashboard  BASE/mail  BASE/tenants/NAME
//
// On a pure v2 host tenants' cgroups are made, limited and joined through libcgroup (libcgroup_backend.h says
// where it is not used, and why). On a hybrid host only the v2 mount is used, by directory descriptors:
// libcgroup would write into the v1 hierarchies, which are not ours.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"

namespace paddock::cgroups {

// Where the kernel's cgroup v2 is mounted, from /proc/self/mountinfo.
struct HostLayout {
  std::string mount;                     // "/sys/fs/cgroup", "/sys/fs/cgroup/unified"; empty: nowhere
  bool hybrid = false;                   // v1 hierarchies are mounted too
  std::vector<std::string> controllers;  // that v2 has at its root ("cpu", "memory", …)

  [[nodiscard]] static Result<HostLayout> detect();
};

class Hierarchy {
 public:
  // What Paddock limits with.
  static constexpr const char *kControllers[] = {"cpu", "memory", "pids", "io"};

  // `base` empty: the caller's own cgroup, as systemd delegates it (Delegate=yes), or "paddock" where that is
  // the root. Otherwise the cgroup of that name below the mount ("paddock-test/1"), made if missing. Makes
  // supervisor, gateway, zygote, dashboard, mail and tenants; moves the caller into supervisor (a cgroup
  // whose children have controllers may hold no process: cgroup-v2.rst, "No Internal Process Constraint");
  // passes the available controllers down to BASE/tenants' children. Works the same when another Hierarchy of
  // the same base has been there before. Errors: no v2 mount, no right to write there, other processes in
  // BASE.
  [[nodiscard]] static Result<Hierarchy> open(const std::string &base);

  [[nodiscard]] const std::string &base_path() const { return base_path_; }  // below the mount
  [[nodiscard]] const HostLayout &host() const { return host_; }
  // Those of kControllers that tenants' cgroups do not have: what depends on them is not enforced.
  [[nodiscard]] const std::vector<std::string> &missing_controllers() const { return missing_; }

  [[nodiscard]] const Cgroup &supervisor() const { return supervisor_; }
  [[nodiscard]] const Cgroup &gateway() const { return gateway_; }
  [[nodiscard]] const Cgroup &zygote() const { return zygote_; }
  [[nodiscard]] const Cgroup &dashboard() const { return dashboard_; }
  [[nodiscard]] const Cgroup &mail() const { return mail_; }

  // The tenant's cgroup, made if it is missing. EINVAL: a name that is no single path component.
  [[nodiscard]] Result<Cgroup> tenant(const std::string &name) const;
  // The names of the tenants' cgroups that exist: after a start, what a dead supervisor left.
  [[nodiscard]] Result<std::vector<std::string>> leftovers() const;

  // Removes BASE/tenants, gateway, zygote, dashboard and mail, which must be empty of processes, then (if
  // they are empty too) moves the caller to BASE's parent and removes supervisor and BASE. For tests and for
  // a clean stop.
  Result<void> remove() const;

 private:
  Hierarchy() = default;

  HostLayout host_;
  std::string base_path_;
  std::vector<std::string> missing_;
  std::string libcgroup_controller_;  // see Cgroup; empty: libcgroup is not used
  UniqueFd base_;
  Cgroup supervisor_;
  Cgroup gateway_;
  Cgroup zygote_;
  Cgroup dashboard_;
  Cgroup mail_;
  UniqueFd tenants_;
};

}  // namespace paddock::cgroups
