// A part of the host's file tree as a detached mount: what the supervisor hands to the zygote for a tenant's
// view.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::sandbox {

// What open_detached_tree() insists on.
struct TreeRules {
  bool directory = true;  // false: files and sockets too
  bool writable = true;   // false: MOUNT_ATTR_RDONLY on every mount of the tree
  bool noexec = false;
  bool nosuid = true;
  bool nodev = true;
  bool follow = false;  // what the host mounts and unmounts below `path` later, does so here too (MS_SLAVE)
  std::optional<uid_t> owner;  // the tree's root must belong to this uid or to root; absent: to anybody
};

// Clones the tree at the absolute `path`, with all that is mounted below it, into a mount that is attached
// nowhere (open_tree(2), OPEN_TREE_CLONE|AT_RECURSIVE), flagged as the rules say and, unless rules.follow,
// private (mount_setattr(2)): what the host mounts below `path` later does not appear in it, and the host can
// unmount what it holds only lazily. A mount that follows later has the host's own flags: no_new_privs, not
// nosuid, disarms what is in it. The descriptor can be sent over a Unix socket and is attached by
// move_mount(2) in another mount namespace; closing it drops the mount.
//
// Needs CAP_SYS_ADMIN and the host's mount namespace. Triggers automounts, and so may block as long as they
// do. A symbolic link is followed only where root alone could have made it: a tenant must not choose what is
// mounted. Errors name the path, what was found there and what was expected.
[[nodiscard]] Result<UniqueFd> open_detached_tree(const std::string &path, const TreeRules &rules);

}  // namespace paddock::sandbox
