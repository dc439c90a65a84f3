#include "sandbox/view.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "sandbox/steps.h"

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

int clone_tree(int directory, const char *path, unsigned more_flags) {
  return ::open_tree(directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | more_flags);
}

// Takes `tree` over.
int attach(int tree, int directory, const char *path, unsigned more_flags = 0) {
  const int code = code_of(::move_mount(tree, "", directory, path, MOVE_MOUNT_F_EMPTY_PATH | more_flags));
  ::close(tree);
  return code;
}

int bind(int from_directory, const char *from, int to_directory, const char *to, unsigned more_flags = 0) {
  const int tree = clone_tree(from_directory, from, more_flags);
  return tree < 0 ? errno : attach(tree, to_directory, to);
}

int write_file(int directory, const char *name, const std::string &bytes) {
  const int fd = ::openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  const ssize_t written = ::write(fd, bytes.data(), bytes.size());
  const int code = written == static_cast<ssize_t>(bytes.size()) ? 0 : written < 0 ? errno : ENOSPC;
  ::close(fd);
  return code;
}

// Within the view, over no link at all.
int open_plainly(int root, const char *path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
}

// Replaces the first link in `path` by what it says. 0, or ELOOP: that link is none of the view's own.
int follow_own_link(int root, char (&path)[PATH_MAX]) {
  struct stat view {};
  if (::fstat(root, &view) != 0) return errno;
  for (char *end = path + 1;; ++end) {
    const char stop = *end;
    if (stop != '/' && stop != '\0') continue;
    *end = '\0';
    const int fd = open_plainly(root, path, O_PATH | O_NOFOLLOW);
    *end = stop;
    if (fd < 0) return errno;
    struct stat status {};
    char target[PATH_MAX];
    const int code = code_of(::fstat(fd, &status));
    const ssize_t length = ::readlinkat(fd, "", target, sizeof target);  // fails for what is no link
    ::close(fd);
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
  if (::strlen(path) >= sizeof resolved) {
    errno = ENAMETOOLONG;
    return -1;
  }
  ::strcpy(resolved, path);
  for (int links = 0;; ++links) {
    const int fd = open_plainly(root, resolved, flags);
    if (fd >= 0 || errno != ELOOP || links == kMostLinks) return fd;
    if (const int code = follow_own_link(root, resolved); code != 0) {
      errno = code;
      return -1;
    }
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
      ::close(parent_fd);
      return ENAMETOOLONG;
    }
    std::memcpy(component, target + start, end - start);
    component[end - start] = '\0';
    std::memcpy(parent, target, end);
    parent[end] = '\0';
    length = end;

    int code = 0;
    if (last && !directory) {
      const int file =
          ::openat(parent_fd, component, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
      if (file < 0 && errno != EEXIST) code = errno;
      if (file >= 0) ::close(file);
    } else if (::mkdirat(parent_fd, component, 0755) != 0 && errno != EEXIST) {
      code = errno;
    }
    ::close(parent_fd);
    if (code != 0 || last) return code;
    parent_fd = open_in_view(root, parent, O_PATH | O_DIRECTORY);
  }
  return errno;
}

int attach_in_view(int tree, int root, const char *target, bool optional = false) {
  int point = open_in_view(root, target, O_PATH);
  if (point < 0 && optional) return 0;
  if (point < 0 && errno == ENOENT) {
    struct stat status {};
    if (::fstat(tree, &status) != 0) return errno;
    const int code = make_mount_point(root, target, S_ISDIR(status.st_mode));
    if (code != 0) return code;
    point = open_in_view(root, target, O_PATH);
  }
  if (point < 0) return errno;
  const int code =
      code_of(::move_mount(tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
  ::close(point);
  return code;
}

}  // namespace

int make_tmpfs(Plan &plan) {
  ::umask(0);
  const int context = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return errno;
  int mount = -1;
  if (::fsconfig(context, FSCONFIG_SET_STRING, "size", plan.size.c_str(), 0) == 0 &&
      ::fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", plan.inodes.c_str(), 0) == 0 &&
      ::fsconfig(context, FSCONFIG_SET_STRING, "mode", "755", 0) == 0 &&
      ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
    mount = ::fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  int code = code_of(mount);
  ::close(context);
  if (code != 0) return code;
  // Attached, because Linux before 6.15 clones no part of a mount that is not; it goes with the base view.
  code = code_of(::move_mount(mount, "", AT_FDCWD, "/mnt", MOVE_MOUNT_F_EMPTY_PATH));
  if (code != 0) return code;
  plan.scratch = mount;

  if (::mkdirat(plan.scratch, "root", 0755) != 0) return errno;
  plan.root = clone_tree(plan.scratch, "root", 0);
  if (plan.root < 0) return errno;
  code = code_of(::move_mount(plan.root, "", plan.scratch, "root", MOVE_MOUNT_F_EMPTY_PATH));
  if (code != 0) return code;
  for (const char *name : kDirectories) {
    plan.object = name;
    if (::mkdirat(plan.root, name, 0755) != 0) return errno;
  }
  plan.object = "var/run";
  return code_of(::symlinkat("/run", plan.root, "var/run"));
}

int show_base(Plan &plan) {
  for (const auto &entry : plan.entries) {
    plan.object = entry.path.c_str();
    if (!entry.link.empty()) {
      if (::symlinkat(entry.link.c_str(), plan.root, entry.path.c_str()) != 0) return errno;
      continue;
    }
    // The path is relative to the working directory, the base view's root, and to the view's root alike.
    const int tree = clone_tree(AT_FDCWD, plan.object, AT_RECURSIVE);
    if (tree < 0) return errno;
    const int code = attach_in_view(tree, plan.root, plan.object);
    ::close(tree);
    if (code != 0) return code;
  }
  plan.object = "dev";
  if (const int code = bind(AT_FDCWD, "dev", plan.root, "dev"); code != 0) return code;
  plan.object = "etc";
  if (const int code = bind(AT_FDCWD, "etc", plan.root, "etc"); code != 0) return code;

  struct Own {
    const char *name;
    const char *target;
    const std::string &bytes;
  };
  for (const Own &own : {Own{"passwd", "etc/passwd", plan.passwd}, Own{"group", "etc/group", plan.group},
                         Own{"resolv.conf", "etc/resolv.conf", plan.resolv_conf}}) {
    if (own.bytes.empty()) continue;
    plan.object = own.target;
    if (const int code = write_file(plan.scratch, own.name, own.bytes); code != 0) return code;
    const int tree = clone_tree(plan.scratch, own.name, 0);
    if (tree < 0) return errno;
    struct mount_attr attributes {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) return errno;
    if (const int code = attach(tree, plan.root, own.target); code != 0) return code;
  }
  return 0;
}

int show_writable(Plan &plan) {
  for (const auto &part : kWritableParts) {
    plan.object = part.target;
    if (::mkdirat(plan.scratch, part.name, part.mode) != 0) return errno;
    if (const int code = bind(plan.scratch, part.name, plan.root, part.target); code != 0) return code;
  }
  return 0;
}

int mount_proc(Plan &plan) {
  const int context = ::fsopen("proc", FSOPEN_CLOEXEC);
  if (context < 0) return errno;
  int mount = -1;
  if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
    mount = ::fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  const int code = code_of(mount);
  ::close(context);
  return code != 0 ? code : attach(mount, plan.root, "proc");
}

int limit_user_namespaces(Plan &plan) {
  plan.object = "/proc/sys/user/max_user_namespaces";
  const int fd = ::openat(plan.root, "proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int code = code_of(::write(fd, plan.user_namespaces.data(), plan.user_namespaces.size()));
  ::close(fd);
  return code;
}

int mask_proc(Plan &plan) {
  for (const auto &mask : plan.masks) {
    plan.object = mask.path.c_str();
    int tree = -1;
    switch (mask.kind) {
      case BaseView::Mask::Kind::kEmptyFile:
        tree = clone_tree(AT_FDCWD, "dev/null", 0);
        break;
      case BaseView::Mask::Kind::kEmptyDirectory:
        tree = clone_tree(AT_FDCWD, "run", 0);
        break;
      case BaseView::Mask::Kind::kReadOnly: {
        tree = clone_tree(plan.root, plan.object, 0);
        struct mount_attr attributes {};
        attributes.attr_set = MOUNT_ATTR_RDONLY;
        if (tree >= 0 && ::mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
          return errno;
        break;
      }
    }
    if (tree < 0) return errno;
    if (const int code = attach(tree, plan.root, plan.object); code != 0) return code;
  }
  return 0;
}

int bind_trees(Plan &plan) {
  for (const auto &bind : plan.binds) {
    plan.object = bind.target.c_str();
    if (const int code = attach_in_view(bind.tree, plan.root, plan.object, bind.optional); code != 0)
      return code;
  }
  return 0;
}

int enter(Plan &plan) {
  ::umask(022);
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(plan.root, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) return errno;
  if (::fchdir(plan.root) != 0) return errno;
  // Both names at once: the old root ends up stacked on the new one, and is taken off it (pivot_root(2)).
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return errno;
  if (::umount2(".", MNT_DETACH) != 0) return errno;
  return code_of(::chdir("/"));
}

}  // namespace paddock::sandbox::view
