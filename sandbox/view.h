// A tenant's view of the file system, built in the sandbox's mount namespace by a process that shares its
// memory with the sandbox's first one, which goes on meanwhile. The functions are steps: they make system
// calls only, by call() (sandbox/call.h), write nothing but their Build, and return 0 or an errno value, with
// Build::object naming what they worked on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/base_view.h"

namespace paddock::sandbox::view {

struct Bind {
  int tree = -1;
  std::string target;
  bool optional = false;
};

struct Plan {
  std::vector<BaseView::Entry> entries;
  std::vector<BaseView::Mask> masks;
  std::vector<Bind> binds;  // parents before what is below them
  std::string size;         // tmpfs(5) options
  std::string inodes;
  std::string passwd;
  std::string group;
  std::string resolv_conf;  // empty: that of the base view
  std::string user_namespaces;
};

struct Build {
  const Plan &plan;
  int scratch = -1;  // the root of the tmpfs: root/, tmp/, shm/, …
  int root = -1;     // the view's root: the mount of root/
  const char *object = "";
};

// The tmpfs with one directory for each part; that of the root is what all else is attached to.
[[nodiscard]] int make_tmpfs(Build &build);
// /usr and the like, /dev, /etc with the tenant's passwd, group and resolv.conf.
[[nodiscard]] int show_base(Build &build);
// /tmp, /var/tmp, /dev/shm, /var/lib/php/sessions: parts of the one tmpfs, so that one size bounds them.
[[nodiscard]] int show_writable(Build &build);
[[nodiscard]] int mount_proc(Build &build);
// user.max_user_namespaces of the sandbox's own user namespace.
[[nodiscard]] int limit_user_namespaces(Build &build);
[[nodiscard]] int mask_proc(Build &build);
[[nodiscard]] int bind_trees(Build &build);
// Makes the root read-only and moves every process of the namespace into it that is in the old one's root:
// the base view is gone from the namespace. A process that is being forked at the moment may stay behind
// (pivot_root(2) looks for those that can be seen).
[[nodiscard]] int enter(Build &build);

}  // namespace paddock::sandbox::view
