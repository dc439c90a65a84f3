// A tenant's view of the file system, built by the child in its own mount namespace. The functions are steps:
// they make system calls only and return 0 or an errno value, with Plan::object naming what they worked on.
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

  // Of the child, while it builds.
  int scratch = -1;  // the root of the tmpfs: root/, tmp/, shm/, …
  int root = -1;     // the view's root: the mount of root/
  const char *object = "";
};

// The tmpfs with one directory for each part; that of the root is what all else is attached to.
[[nodiscard]] int make_tmpfs(Plan &plan);
// /usr and the like, /dev, /etc with the tenant's passwd, group and resolv.conf.
[[nodiscard]] int show_base(Plan &plan);
// /tmp, /var/tmp, /dev/shm, /var/lib/php/sessions: parts of the one tmpfs, so that one size bounds them.
[[nodiscard]] int show_writable(Plan &plan);
[[nodiscard]] int mount_proc(Plan &plan);
// user.max_user_namespaces of the sandbox's own user namespace.
[[nodiscard]] int limit_user_namespaces(Plan &plan);
[[nodiscard]] int mask_proc(Plan &plan);
[[nodiscard]] int bind_trees(Plan &plan);
// Makes the root read-only and moves into it; the base view is gone from the namespace.
[[nodiscard]] int enter(Plan &plan);

}  // namespace paddock::sandbox::view
