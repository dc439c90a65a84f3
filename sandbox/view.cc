#include "sandbox/view.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>

#include "sandbox/call.h"

namespace paddock::sandbox::view {
namespace {

// Directories of the tmpfs and where the view shows them.
struct WritablePart {
  const char *name;
  const char *target;
  mode_t mode;
};
constexpr WritablePart kWritableParts[] = {
    {"tmp", "tmp", 01777},
    {"shm", "dev/shm", 01777},
    {"var-tmp", "var/tmp", 01777},
    {"sessions", "var/lib/php/sessions", 0700},
};

constexpr const char *kDirectories[] = {"usr",     "etc",     "dev",         "proc",
                                        "home",    "run",     "tmp",         "var",
                                        "var/tmp", "var/lib", "var/lib/php", "var/lib/php/sessions"};

// All that makes a descriptor returns it, or the negative of an errno value.
int open_at(int directory, const char *path, int flags, mode_t mode = 0) {
  return static_cast<int>(call(SYS_openat, directory, path, flags | O_CLOEXEC, mode));
}

void close_fd(int fd) {
  call(SYS_close, fd);
}

int make_directory(int directory, const char *path, mode_t mode) {
  return code_of_call(call(SYS_mkdirat, directory, path, mode));
}

int set_mount_read_only(int mount) {
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return code_of_call(call(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes));
}

int clone_tree(int directory, const char *path, unsigned more_flags) {
  return static_cast<int>(
      call(SYS_open_tree, directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | more_flags));
}

int move_mount_to(int tree, int directory, const char *path, unsigned more_flags = 0) {
  return code_of_call(call(SYS_move_mount, tree, "", directory, path, MOVE_MOUNT_F_EMPTY_PATH | more_flags));
}

// Takes `tree` over.
int attach(int tree, int directory, const char *path, unsigned more_flags = 0) {
  const int code = move_mount_to(tree, directory, path, more_flags);
  close_fd(tree);
  return code;
}

int bind(int from_directory, const char *from, int to_directory, const char *to, unsigned more_flags = 0) {
  const int tree = clone_tree(from_directory, from, more_flags);
  return tree < 0 ? -tree : attach(tree, to_directory, to);
}

int write_file(int directory, const char *name, const std::string &bytes) {
  const int fd = open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (fd < 0) return -fd;
  const long written = call(SYS_write, fd, bytes.data(), bytes.size());
  close_fd(fd);
  if (written < 0) return code_of_call(written);
  return written == static_cast<long>(bytes.size()) ? 0 : ENOSPC;
}

// Within the view, over no link at all.
int open_plainly(int root, const char *path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
  return static_cast<int>(call(SYS_openat2, root, path, &how, sizeof how));
}

int status_of(int fd, struct stat &status) {
  return code_of_call(call(SYS_fstat, fd, &status));
}

// Replaces the first link in `path` by what it says. 0, or ELOOP: that link is none of the view's own.
int follow_own_link(int root, char (&path)[PATH_MAX]) {
  struct stat view {};
  if (const int code = status_of(root, view); code != 0) return code;
  for (char *end = path + 1;; ++end) {
    const char stop = *end;
    if (stop != '/' && stop != '\0') continue;
    *end = '\0';
    const int fd = open_plainly(root, path, O_PATH | O_NOFOLLOW);
    *end = stop;
    if (fd < 0) return -fd;
    struct stat status {};
    char target[PATH_MAX];
    const int code = status_of(fd, status);
    const long length = call(SYS_readlinkat, fd, "", target, sizeof target);  // fails for what is no link
    close_fd(fd);
    if (code != 0) return code;
    if (length > 0) {
      if (status.st_dev != view.st_dev) return ELOOP;
      // "/var/run" says "/run" or "../run": the latter counts from where the link is.
      const char *begin = end - 1;
      while (*begin != '/') --begin;
      const int kept = target[0] == '/' ? 0 : static_cast<int>(begin + 1 - path);
      char next[PATH_MAX];
      const int size =
          std::snprintf(next, sizeof next, "%.*s%.*s%s", kept, path, static_cast<int>(length), target, end);
      if (size >= static_cast<int>(sizeof next)) return ENAMETOOLONG;
      ::strcpy(path, next);
      return 0;
    }
    if (stop == '\0') return ELOOP;
  }
}

// A path of the view. Links are followed where the view itself has them (/bin, /var/run): any other may be
// the tenant's, in the home or in what a plan binds, who may change it this very moment, and would move a
// mount to where it hides something.
int open_in_view(int root, const char *path, std::uint64_t flags) {
  constexpr int kMostLinks = 8;
  char resolved[PATH_MAX];
  if (::strlen(path) >= sizeof resolved) return -ENAMETOOLONG;
  ::strcpy(resolved, path);
  for (int links = 0;; ++links) {
    const int fd = open_plainly(root, resolved, flags);
    if (fd != -ELOOP || links == kMostLinks) return fd;
    if (const int code = follow_own_link(root, resolved); code != 0) return -code;
  }
}

// Makes the mount point of a bind, and the directories above it.
int make_mount_point(int root, const char *target, bool directory) {
  char parent[PATH_MAX];
  std::size_t length = 0;
  int parent_fd = open_in_view(root, "/", O_PATH | O_DIRECTORY);
  while (parent_fd >= 0) {
    std::size_t start = length;
    while (target[start] == '/') ++start;
    std::size_t end = start;
    while (target[end] != '/' && target[end] != '\0') ++end;
    const bool last = target[end] == '\0';
    char component[NAME_MAX + 1];
    if (end - start > NAME_MAX || end >= sizeof parent) {
      close_fd(parent_fd);
      return ENAMETOOLONG;
    }
    std::memcpy(component, target + start, end - start);
    component[end - start] = '\0';
    std::memcpy(parent, target, end);
    parent[end] = '\0';
    length = end;

    int code = 0;
    if (last && !directory) {
      const int file = open_at(parent_fd, component, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
      if (file < 0) code = -file;
      if (file >= 0) close_fd(file);
    } else {
      code = make_directory(parent_fd, component, 0755);
    }
    close_fd(parent_fd);
    if ((code != 0 && code != EEXIST) || last) return code == EEXIST ? 0 : code;
    parent_fd = open_in_view(root, parent, O_PATH | O_DIRECTORY);
  }
  return -parent_fd;
}

int attach_in_view(int tree, int root, const char *target, bool optional = false) {
  int point = open_in_view(root, target, O_PATH);
  if (point < 0 && optional) return 0;
  if (point == -ENOENT) {
    struct stat status {};
    if (const int code = status_of(tree, status); code != 0) return code;
    if (const int code = make_mount_point(root, target, S_ISDIR(status.st_mode)); code != 0) return code;
    point = open_in_view(root, target, O_PATH);
  }
  if (point < 0) return -point;
  const int code = move_mount_to(tree, point, "", MOVE_MOUNT_T_EMPTY_PATH);
  close_fd(point);
  return code;
}

// A file system of type `type`, mounted nowhere; options end with nullptr.
int new_mount(const char *type, const char *const (*options)[2], unsigned attributes) {
  const int context = static_cast<int>(call(SYS_fsopen, type, FSOPEN_CLOEXEC));
  if (context < 0) return context;
  long result = 0;
  for (; result >= 0 && (*options)[0] != nullptr; ++options)
    result = call(SYS_fsconfig, context, FSCONFIG_SET_STRING, (*options)[0], (*options)[1], 0);
  if (result >= 0) result = call(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (result >= 0) result = call(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
  close_fd(context);
  return static_cast<int>(result);
}

}  // namespace

int make_tmpfs(Build &build) {
  call(SYS_umask, 0);
  const char *const options[][2] = {{"size", build.plan.size.c_str()},
                                    {"nr_inodes", build.plan.inodes.c_str()},
                                    {"mode", "755"},
                                    {nullptr, nullptr}};
  build.scratch = new_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (build.scratch < 0) return -build.scratch;
  // Attached, because Linux before 6.15 clones no part of a mount that is not; it goes with the base view.
  if (const int code = move_mount_to(build.scratch, AT_FDCWD, "/mnt"); code != 0) return code;

  if (const int code = make_directory(build.scratch, "root", 0755); code != 0) return code;
  build.root = clone_tree(build.scratch, "root", 0);
  if (build.root < 0) return -build.root;
  if (const int code = move_mount_to(build.root, build.scratch, "root"); code != 0) return code;
  for (const char *name : kDirectories) {
    build.object = name;
    if (const int code = make_directory(build.root, name, 0755); code != 0) return code;
  }
  build.object = "var/run";
  return code_of_call(call(SYS_symlinkat, "/run", build.root, "var/run"));
}

int show_base(Build &build) {
  for (const auto &entry : build.plan.entries) {
    build.object = entry.path.c_str();
    if (!entry.link.empty()) {
      const long made = call(SYS_symlinkat, entry.link.c_str(), build.root, entry.path.c_str());
      if (made < 0) return code_of_call(made);
      continue;
    }
    // The path is relative to the working directory, the base view's root, and to the view's root alike.
    const int tree = clone_tree(AT_FDCWD, build.object, AT_RECURSIVE);
    if (tree < 0) return -tree;
    const int code = attach_in_view(tree, build.root, build.object);
    close_fd(tree);
    if (code != 0) return code;
  }
  build.object = "dev";
  if (const int code = bind(AT_FDCWD, "dev", build.root, "dev"); code != 0) return code;
  build.object = "etc";
  if (const int code = bind(AT_FDCWD, "etc", build.root, "etc"); code != 0) return code;

  struct Own {
    const char *name;
    const char *target;
    const std::string &bytes;
  };
  for (const Own &own :
       {Own{"passwd", "etc/passwd", build.plan.passwd}, Own{"group", "etc/group", build.plan.group},
        Own{"resolv.conf", "etc/resolv.conf", build.plan.resolv_conf}}) {
    if (own.bytes.empty()) continue;
    build.object = own.target;
    if (const int code = write_file(build.scratch, own.name, own.bytes); code != 0) return code;
    const int tree = clone_tree(build.scratch, own.name, 0);
    if (tree < 0) return -tree;
    if (const int code = set_mount_read_only(tree); code != 0) return code;
    if (const int code = attach(tree, build.root, own.target); code != 0) return code;
  }
  return 0;
}

int show_writable(Build &build) {
  for (const auto &part : kWritableParts) {
    build.object = part.target;
    if (const int code = make_directory(build.scratch, part.name, part.mode); code != 0) return code;
    if (const int code = bind(build.scratch, part.name, build.root, part.target); code != 0) return code;
  }
  return 0;
}

int mount_proc(Build &build) {
  const char *const none[][2] = {{nullptr, nullptr}};
  const int mount = new_mount("proc", none, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  return mount < 0 ? -mount : attach(mount, build.root, "proc");
}

int limit_user_namespaces(Build &build) {
  build.object = "/proc/sys/user/max_user_namespaces";
  const int fd = open_at(build.root, "proc/sys/user/max_user_namespaces", O_WRONLY);
  if (fd < 0) return -fd;
  const std::string &most = build.plan.user_namespaces;
  const int code = code_of_call(call(SYS_write, fd, most.data(), most.size()));
  close_fd(fd);
  return code;
}

int mask_proc(Build &build) {
  for (const auto &mask : build.plan.masks) {
    build.object = mask.path.c_str();
    int tree = -EINVAL;
    switch (mask.kind) {
      case BaseView::Mask::Kind::kEmptyFile:
        tree = clone_tree(AT_FDCWD, "dev/null", 0);
        break;
      case BaseView::Mask::Kind::kEmptyDirectory:
        tree = clone_tree(AT_FDCWD, "run", 0);
        break;
      case BaseView::Mask::Kind::kReadOnly:
        tree = clone_tree(build.root, build.object, 0);
        if (tree < 0) break;
        if (const int code = set_mount_read_only(tree); code != 0) return code;
        break;
    }
    if (tree < 0) return -tree;
    if (const int code = attach(tree, build.root, build.object); code != 0) return code;
  }
  return 0;
}

int bind_trees(Build &build) {
  for (const auto &bind : build.plan.binds) {
    build.object = bind.target.c_str();
    if (const int code = attach_in_view(bind.tree, build.root, build.object, bind.optional); code != 0)
      return code;
  }
  return 0;
}

int enter(Build &build) {
  if (const int code = set_mount_read_only(build.root); code != 0) return code;
  if (const int code = code_of_call(call(SYS_fchdir, build.root)); code != 0) return code;
  // Both names at once: the old root ends up stacked on the new one, and is taken off it (pivot_root(2)).
  if (const int code = code_of_call(call(SYS_pivot_root, ".", ".")); code != 0) return code;
  return code_of_call(call(SYS_umount2, ".", MNT_DETACH));
}

}  // namespace paddock::sandbox::view
