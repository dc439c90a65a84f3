#include "sandbox/detached_tree.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"

namespace paddock::sandbox {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's own (path_resolution(7))

Error failed_call(const std::string &path, const std::string &where) {
  return errno_error("open tree " + path + ": " + where);
}

Error refusal(const std::string &path, const std::string &why, int code = 0) {
  return errno_error("open tree " + path + ": " + why, code);
}

std::string symbolic_link_of_others(const std::string &where) {
  return where + " is a symbolic link that others than root can make";
}

// Only root decides what such a directory names: it may write there, or nobody may replace what root has put
// there.
bool only_root_names_entries(const struct stat &directory) {
  return directory.st_uid == 0 &&
         ((directory.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (directory.st_mode & S_ISVTX) != 0);
}

// Walks `path` component by component, so that each symbolic link is seen before it is followed.
Result<UniqueFd> walk(const std::string &path) {
  PADDOCK_TRY(UniqueFd here, open_file("/", O_PATH | O_DIRECTORY));
  std::string rest = path;
  std::string walked;
  int links = 0;
  for (;;) {
    const std::size_t start = rest.find_first_not_of('/');
    if (start == std::string::npos) return here;
    std::size_t end = rest.find('/', start);
    if (end == std::string::npos) end = rest.size();
    const std::string name = rest.substr(start, end - start);
    rest.erase(0, end);
    if (name == ".") continue;
    std::string where = walked;
    where.append("/").append(name);

    struct stat status {};
    if (::fstatat(here.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
      return failed_call(path, where);
    if (S_ISLNK(status.st_mode)) {
      struct stat directory {};
      if (::fstat(here.get(), &directory) != 0) return failed_call(path, walked);
      if (!only_root_names_entries(directory) || status.st_uid != 0)
        return refusal(path, symbolic_link_of_others(where), ELOOP);
      if (++links > kMaxLinks) return refusal(path, "too many symbolic links", ELOOP);
      char target[PATH_MAX];
      const ssize_t length = ::readlinkat(here.get(), name.c_str(), target, sizeof target);
      if (length < 0) return failed_call(path, where);
      rest.insert(0, target, static_cast<std::size_t>(length));
      if (rest.front() == '/') {
        PADDOCK_TRY(here, open_file("/", O_PATH | O_DIRECTORY));
        walked.clear();
      }
      continue;
    }
    // O_PATH alone would stop at an automount point; with O_DIRECTORY the kernel mounts what belongs there.
    const int kind = S_ISDIR(status.st_mode) ? O_DIRECTORY : 0;
    const int next = ::openat(here.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC | kind);
    if (next < 0) return failed_call(path, where);
    here.reset(next);
    walked = where;
    if (kind == 0 && rest.find_first_not_of('/') != std::string::npos)
      return refusal(path, walked + " is no directory", ENOTDIR);
  }
}

}  // namespace

Result<UniqueFd> open_detached_tree(const std::string &path, const TreeRules &rules) {
  if (path.empty() || path.front() != '/') return refusal(path, "the path is not absolute", EINVAL);
  PADDOCK_TRY(const UniqueFd origin, walk(path));

  struct stat status {};
  if (::fstat(origin.get(), &status) != 0) return errno_error("stat " + path);
  if (rules.directory && !S_ISDIR(status.st_mode)) return refusal(path, "it is no directory", ENOTDIR);
  if (rules.owner && status.st_uid != *rules.owner && status.st_uid != 0)
    return refusal(path,
                   "it belongs to uid " + std::to_string(status.st_uid) + ", not to uid " +
                       std::to_string(*rules.owner) + " or root",
                   EPERM);

  UniqueFd tree(
      ::open_tree(origin.get(), "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return errno_error("clone the mount of " + path);
  struct mount_attr attributes {};
  if (rules.nosuid) attributes.attr_set |= MOUNT_ATTR_NOSUID;
  if (rules.nodev) attributes.attr_set |= MOUNT_ATTR_NODEV;
  if (rules.noexec) attributes.attr_set |= MOUNT_ATTR_NOEXEC;
  if (!rules.writable) attributes.attr_set |= MOUNT_ATTR_RDONLY;
  // Still a peer of the host's mount otherwise: what is mounted in the sandbox would appear on the host.
  attributes.propagation = rules.follow ? MS_SLAVE : MS_PRIVATE;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    return errno_error("restrict the mount of " + path);
  return tree;
}

}  // namespace paddock::sandbox
