#include "sandbox/base_view.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "sandbox/etc_copy.h"
#include "sandbox/paths.h"

namespace paddock::sandbox {
namespace {

// With /usr merged these are links into it; on other hosts directories.
constexpr const char *kProgramDirectories[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

// Mount points that a tenant's view puts something on or that programs expect to find.
constexpr const char *kEmptyDirectories[] = {"dev",  "dev/shm", "etc", "home", "mnt",
                                             "proc", "run",     "tmp", "usr",  "var"};

struct DeviceNode {
  const char *name;
  unsigned major;
  unsigned minor;
};
constexpr DeviceNode kDeviceNodes[] = {
    {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

// What every reader of /proc may read though it tells about the host and its other users, or may be written
// where a kernel has a fault. Files that only root may open need no mask: a sandbox has no root.
constexpr const char *kProcMasks[] = {
    "acpi",        // power states of the machine
    "asound",      // sound devices
    "bus",         // PCI and input devices
    "cmdline",     // boot parameters: some carry secrets
    "config.gz",   // how the kernel was built: what to attack
    "driver",      // devices
    "fs",          // the host's file systems, NFS exports
    "interrupts",  // counts whose timing betrays keystrokes and traffic
    "irq",         // writable on some kernels
    "kallsyms",    // symbol addresses
    "kcore",       // the machine's memory
    "key-users",   // which uids hold keys
    "keys",        // keys that others let everybody see
    "latency_stats",
    "modules",      // what is loaded: what to attack
    "sched_debug",  // every task of the host, on kernels before 5.13
    "scsi",         // was writable through user namespaces once (CVE-2018-10892)
    "sysrq-trigger",
    "timer_list",  // every task with a timer
};

constexpr std::pair<const char *, const char *> kDeviceLinks[] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

Result<UniqueFd> mount_filesystem(const char *type,
                                  std::initializer_list<std::pair<const char *, const char *>> options,
                                  unsigned attributes) {
  const std::string attempt = std::string("mount ") + type + " for the base view";
  const UniqueFd context(::fsopen(type, FSOPEN_CLOEXEC));
  if (!context.valid()) return errno_error(attempt);
  for (const auto &[key, value] : options)
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value, 0) != 0) return errno_error(attempt);
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return errno_error(attempt);
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount.valid()) return errno_error(attempt);
  return mount;
}

Result<void> attach(BorrowedFd mount, BorrowedFd directory, const std::string &name) {
  if (::move_mount(mount.get(), "", directory.get(), name.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return errno_error("attach a mount at /" + name + " of the base view");
  return {};
}

Result<UniqueFd> clone_read_only(BorrowedFd directory, const std::string &path, unsigned more_attributes) {
  UniqueFd tree(
      ::open_tree(directory.get(), path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree.valid()) return errno_error("clone the mount of " + path);
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | more_attributes;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    return errno_error("make the mount of " + path + " read-only");
  return tree;
}

Result<void> make_directories_below(BorrowedFd root, const std::string &path) {
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdirat(root.get(), part.c_str(), 0755) != 0 && errno != EEXIST)
      return errno_error("make /" + part + " in the base view");
    if (end == std::string::npos) return {};
  }
}

Result<void> make_devices(BorrowedFd root) {
  for (const auto &node : kDeviceNodes) {
    const std::string path = std::string("dev/") + node.name;
    if (::mknodat(root.get(), path.c_str(), S_IFCHR | 0666, makedev(node.major, node.minor)) != 0)
      return errno_error("make /" + path + " in the base view");
  }
  for (const auto &[name, target] : kDeviceLinks)
    if (::symlinkat(target, root.get(), (std::string("dev/") + name).c_str()) != 0)
      return errno_error(std::string("make /dev/") + name + " in the base view");
  return {};
}

}  // namespace

Result<BaseView> BaseView::enter(const BaseViewOptions &options) {
  const mode_t old_mask = ::umask(0);
  auto view = build_and_enter(options);
  ::umask(old_mask);
  return view;
}

Result<BaseView> BaseView::build_and_enter(const BaseViewOptions &options) {
  if (::unshare(CLONE_NEWNS) != 0) return errno_error("make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return errno_error("make the mounts private");

  BaseView view;
  std::vector<UniqueFd> trees;
  const BorrowedFd host(AT_FDCWD);
  const auto show = [&](const std::string &path) -> Result<void> {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return errno_error("show " + path + " in the base view");
    PADDOCK_TRY(UniqueFd tree, clone_read_only(host, path, MOUNT_ATTR_NODEV));
    view.entries_.push_back({path.substr(1), {}, S_ISDIR(status.st_mode)});
    trees.push_back(std::move(tree));
    return {};
  };
  PADDOCK_CHECK(show("/usr"));
  for (const char *name : kProgramDirectories) {
    const std::string path = std::string("/") + name;
    char target[PATH_MAX];
    const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
    if (length > 0) {
      view.entries_.push_back({name, std::string(target, static_cast<std::size_t>(length)), true});
      trees.emplace_back();
    } else if (errno == EINVAL) {  // there, and no link
      PADDOCK_CHECK(show(path));
    }
  }
  for (const auto &path : options.paths) {
    if (!is_plain_path(path)) return errno_error("show " + path + " in the base view", EINVAL);
    PADDOCK_CHECK(show(path));
  }

  PADDOCK_TRY(const UniqueFd root,
              mount_filesystem("tmpfs", {{"size", "64m"}, {"mode", "755"}}, MOUNT_ATTR_NOSUID));
  // Anywhere will do until pivot_root(): a mount must be attached before others can be attached to it.
  PADDOCK_CHECK(attach(root, host, "/tmp"));
  for (const char *name : kEmptyDirectories)
    if (::mkdirat(root.get(), name, 0755) != 0)
      return errno_error(std::string("make /") + name + " in the base view");
  PADDOCK_TRY(const UniqueFd etc, open_at(root, "etc", O_RDONLY | O_DIRECTORY));
  PADDOCK_CHECK(copy_etc(etc, options.etc_paths));
  // Mount points for the tenant's own.
  for (const char *name : {"passwd", "group"}) {
    if (const auto file = open_at(etc, name, O_WRONLY | O_CREAT | O_TRUNC, 0644); !file) return file.error();
  }
  if (const auto file = open_at(etc, "resolv.conf", O_WRONLY | O_CREAT, 0644); !file) return file.error();
  if (::symlinkat("/proc/self/mounts", etc.get(), "mtab") != 0)
    return errno_error("make /etc/mtab in the base view");

  PADDOCK_CHECK(make_devices(root));
  // A mount of its own, as the view's root is nodev. It is the host's user namespace that made this tmpfs:
  // its nodes work in every sandbox, where those of a tmpfs that the sandbox made would not.
  PADDOCK_TRY(const UniqueFd devices, clone_read_only(root, "dev", MOUNT_ATTR_NOEXEC));
  PADDOCK_CHECK(attach(devices, root, "dev"));

  for (std::size_t i = 0; i < trees.size(); ++i) {
    const Entry &entry = view.entries_[i];
    const std::size_t slash = entry.path.rfind('/');
    if (slash != std::string::npos) PADDOCK_CHECK(make_directories_below(root, entry.path.substr(0, slash)));
    if (!entry.link.empty()) {
      if (::symlinkat(entry.link.c_str(), root.get(), entry.path.c_str()) != 0)
        return errno_error("link /" + entry.path + " in the base view");
      continue;
    }
    if (entry.directory) {
      PADDOCK_CHECK(make_directories_below(root, entry.path));
    } else if (const auto file = open_at(root, entry.path, O_WRONLY | O_CREAT, 0644); !file) {
      return file.error();
    }
    PADDOCK_CHECK(attach(trees[i], root, entry.path));
  }

  // The kernel lets a user namespace mount proc only where it sees a whole one already
  // (mount_too_revealing()).
  PADDOCK_TRY(const UniqueFd proc,
              mount_filesystem("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  PADDOCK_CHECK(attach(proc, root, "proc"));

  for (const char *name : kProcMasks) {
    const std::string path = std::string("proc/") + name;
    struct stat status {};
    if (::fstatat(root.get(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
      view.masks_.push_back(
          {path, S_ISDIR(status.st_mode) ? Mask::Kind::kEmptyDirectory : Mask::Kind::kEmptyFile});
  }
  // After the step that sets a limit there.
  view.masks_.push_back({"proc/sys", Mask::Kind::kReadOnly});

  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  if (::mount_setattr(root.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return errno_error("make the base view read-only");
  if (::fchdir(root.get()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
      ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0)
    return errno_error("enter the base view");
  return view;
}

}  // namespace paddock::sandbox
