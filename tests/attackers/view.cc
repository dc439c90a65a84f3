// Out of the view: mounts, other people's files, /proc's tricks, devices.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "attempt.h"

namespace paddock::attackers {
namespace {

std::string opened(const std::string &path, int flags) {
  return said(::open(path.c_str(), flags | O_CLOEXEC, 0600));
}

// Opens and reads a byte: masks open, and are empty.
std::string read_from(const std::string &path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return said(fd);
  char byte = 0;
  const ssize_t got = ::read(fd, &byte, 1);
  return got < 0 ? said(got) : got == 0 ? "empty" : "ok";
}

std::string seen(const std::string &path) {
  struct stat status {};
  return said(::lstat(path.c_str(), &status));
}

// Whether a file is /dev/null in disguise, which takes whatever is written to it.
std::string written(const std::string &path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return said(fd);
  struct stat status {};
  ::fstat(fd, &status);
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3) ? "/dev/null" : "ok";
}

std::string made(const char *path) {
  const std::string result = opened(path, O_CREAT | O_EXCL | O_WRONLY);
  if (result == "ok") ::unlink(path);
  return result;
}

std::string count_entries(const std::string &path) {
  DIR *directory = ::opendir(path.c_str());
  if (directory == nullptr) return said(-1);
  int count = 0;
  while (const dirent *entry = ::readdir(directory)) count += entry->d_name[0] != '.';
  return count > 1 ? "ok" : "only its own";
}

std::string node(const char *path, mode_t type, dev_t device) {
  const std::string result = said(::mknod(path, type | 0600, device));
  ::unlink(path);
  return result;
}

std::string own_file(const std::function<std::string(const char *path)> &action) {
  const char *path = "/tmp/attempt";
  const int fd = ::open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return "make a file: " + said(fd);
  const std::string result = action(path);
  ::unlink(path);
  ::close(fd);
  return result;
}

}  // namespace

void add_view_attempts(Attempts &attempts) {
  const auto root = Control::kRoot;
  const auto user = Control::kUser;
  const Attempts own = {
      {"mount-tmpfs", "mounts a file system", "EPERM", root, "ok",
       [] { return said(::mount("none", "/tmp", "tmpfs", 0, nullptr)); }},
      {"mount-proc", "mounts a second /proc without the masks", "EPERM", root, "ok",
       [] { return said(::mount("none", "/tmp", "proc", 0, nullptr)); }},
      {"mount-bind", "binds a directory elsewhere", "EPERM", root, "ok",
       [] { return said(::mount("/usr", "/tmp", nullptr, MS_BIND, nullptr)); }},
      {"mount-remount", "makes a mount writable again", "EPERM", root, "ok",
       [] { return said(::mount(nullptr, "/proc", nullptr, MS_REMOUNT | MS_BIND, nullptr)); }},
      {"mount-propagation", "makes mounts propagate to the host", "EPERM", root, "ok",
       [] { return said(::mount(nullptr, "/", nullptr, MS_SHARED, nullptr)); }},
      {"umount-proc", "takes /proc off to see what is below", "EPERM", root, "ok",
       [] { return said(::umount2("/proc", MNT_DETACH)); }},
      {"mount-new-api", "fsopen(2)", "EPERM", root, "ok",
       [] { return said(::syscall(SYS_fsopen, "tmpfs", 0)); }},
      {"open-tree", "clones a mount by open_tree(2)", "EPERM", root, "ok",
       [] { return said(::syscall(SYS_open_tree, AT_FDCWD, "/tmp", 1 /* OPEN_TREE_CLONE */)); }},
      {"chroot", "chroot(2), the first half of the oldest way out", "EPERM", root, "ok",
       [] { return said(::chroot("/tmp")); }},
      {"dot-dot", "climbs above the root", "ENOENT", user, "ok",
       [] { return seen("/../../../../../../" + fact("secret")); }},
      {"neighbour-home", "looks into the neighbour's home", "ENOENT", user, "ok",
       [] { return seen(fact("neighbour_file")); }},
      {"neighbour-world-readable", "reads a neighbour's file of mode 0666", "ENOENT", user, "ok",
       [] { return read_from(fact("neighbour_open_file")); }},
      {"list-homes", "lists who else is on the host", "only its own", root, "ok",
       [] { return count_entries(fact("homes")); }},
      {"tmp-of-the-host", "reads a file of the host's /tmp", "ENOENT", user, "ok",
       [] { return read_from(fact("secret")); }},
      {"shadow", "reads password hashes", "ENOENT", root, "ok", [] { return read_from("/etc/shadow"); }},
      {"paddock-config", "reads Paddock's configuration", "ENOENT", root, "ok",
       [] { return read_from(fact("config")); }},
      {"paddock-key", "reads the key of the sockets' names", "ENOENT", root, "ok",
       [] { return read_from(fact("key")); }},
      {"paddock-history", "reads everybody's accounts", "ENOENT", root, "ok",
       [] { return read_from(fact("history")); }},
      {"tenant-log", "writes to the neighbour's log", "ENOENT", root, "ok",
       [] { return opened(fact("neighbour_log"), O_WRONLY); }},
      {"write-usr", "puts a file into /usr", "EROFS", root, "ok",
       [] { return made("/usr/paddock-attempt"); }},
      {"write-passwd", "adds an account", "EROFS", root, "ok",
       [] { return opened("/etc/passwd", O_WRONLY); }},
      {"write-dev", "puts a file into /dev", "EROFS", root, "ok",
       [] { return made("/dev/paddock-attempt"); }},
      {"device-disk", "makes a node of the first disk", "EPERM", root, "ok",
       [] { return node("/tmp/disk", S_IFBLK, makedev(8, 0)); }},
      {"device-mem", "makes a node of the machine's memory", "EPERM", root, "ok",
       [] { return node("/tmp/mem", S_IFCHR, makedev(1, 1)); }},
      {"device-kmsg", "reads the kernel's log by its device", "ENOENT", root, "ok",
       [] { return opened("/dev/kmsg", O_RDONLY); }},
      {"device-ptmx", "opens the host's terminals", "ENOENT", user, "ok",
       [] { return opened("/dev/ptmx", O_RDWR); }},
      {"sysfs", "looks at the machine's devices", "ENOENT", user, "ok", [] { return seen("/sys/kernel"); }},
      {"cgroup-files", "finds the cgroups", "ENOENT", user, "ok", [] { return seen(fact("cgroup")); }},
      {"cgroup-write", "leaves its cgroup", "ENOENT", root, "ok",
       [] { return opened(fact("cgroup") + "/cgroup.procs", O_WRONLY); }},
      {"proc-core-pattern", "has the host run a program at the next crash", "EACCES", root, "ok",
       [] { return opened("/proc/sys/kernel/core_pattern", O_WRONLY); }},
      {"proc-modprobe", "has the host run a program for a module", "EACCES or ENOENT", Control::kNone, "",
       [] { return opened("/proc/sys/kernel/modprobe", O_WRONLY); }, "a kernel may have no modules"},
      {"proc-userns-limit", "allows itself user namespaces", "EACCES or EROFS", Control::kNone, "",
       [] { return opened("/proc/sys/user/max_user_namespaces", O_WRONLY); },
       "where the tests run in a container, its root may not either"},
      {"proc-sysrq", "resets the machine", "/dev/null or ENOENT", root, "ok or ENOENT",
       [] { return written("/proc/sysrq-trigger"); }},
      {"proc-kallsyms", "reads the kernel's symbols", "empty", user, "ok",
       [] { return read_from("/proc/kallsyms"); }},
      {"proc-cmdline", "reads the boot parameters", "empty", user, "ok",
       [] { return read_from("/proc/cmdline"); }},
      {"proc-interrupts", "counts others' keystrokes", "empty", user, "ok",
       [] { return read_from("/proc/interrupts"); }},
      {"proc-keys", "lists keys", "empty", root, "ok", [] { return read_from("/proc/keys"); }},
      {"proc-modules", "lists what could be attacked", "empty or ENOENT", Control::kNone, "",
       [] { return read_from("/proc/modules"); }, "a kernel may have no modules"},
      {"proc-keeper-root", "goes by the keeper's root directory", "EACCES", root, "ok",
       [] { return seen(keeper() + "/root/etc/passwd"); }},
      {"proc-keeper-cwd", "goes by the keeper's directory", "EACCES", root, "ok",
       [] {
         char target[4096];
         return said(::readlink((keeper() + "/cwd").c_str(), target, sizeof target));
       }},
      {"chown-root", "gives a file to root", "EINVAL", root, "ok",
       [] { return own_file([](const char *path) { return said(::chown(path, 0, 0)); }); }},
      {"chown-neighbour", "gives a file to the neighbour, and its quota", "EINVAL", root, "ok",
       [] {
         return own_file([](const char *path) {
           return said(::chown(path, static_cast<uid_t>(number("neighbour_uid")), static_cast<gid_t>(-1)));
         });
       }},
      {"file-capability", "gives a program a capability", "EPERM", root, "ok",
       [] {
         return own_file([](const char *path) {
           // vfs_cap_data of version 2 with CAP_CHOWN permitted
           const unsigned char data[20] = {0, 0, 0, 2, 1};
           return said(::setxattr(path, "security.capability", data, sizeof data, 0));
         });
       }},
      {"file-handle", "opens a file by its number", "EPERM", root, "*",
       [] {
         struct {
           unsigned bytes = 8;
           int type = 1;
           unsigned char handle[8] = {2};
         } handle;
         return said(::syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY));
       }},
      {"fanotify", "is told of every file that anybody opens", "EPERM", root, "*",
       [] { return said(::syscall(SYS_fanotify_init, 0, O_RDONLY)); }},
  };
  attempts.insert(attempts.end(), own.begin(), own.end());
}

}  // namespace paddock::attackers
