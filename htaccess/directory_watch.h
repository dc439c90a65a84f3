// Watches directories for what would change which .htaccess files a path leads by (inotify(7)).
//
// The kernel queues an event within the system call that causes it, before that call returns: whoever reads
// the queue after a change was made finds it there. That holds for changes made through this kernel to a file
// system of its own; directories of any other (NFS, FUSE, …) are refused.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"

namespace paddock::htaccess {

class DirectoryWatch {
 public:
  enum class Added {
    kYes,
    kFollowed,    // a symlink: its target is watched, not what the link is
    kUnreadable,  // this process may not watch it (inotify wants read permission)
    kNo,  // no such directory, a foreign file system, or no more watches (inotify(7), "/proc interfaces")
  };
  // After `max_watches` a new instance is begun: the kernel accounts about 1 KiB for each watch.
  explicit DirectoryWatch(int max_watches) : max_watches_(max_watches) {}

  // From now on, changed() tells when the directory is renamed, removed or unmounted, and with `entries`,
  // when an entry named .htaccess appears in it. The instance belongs to the process that made the first
  // call: forked children must not use it, they would take each other's events.
  Added add(const std::string &directory, bool entries);
  // Whether any of that has happened since the last call, or may have (queue overflow, no instance). One
  // read(2) when nothing has.
  bool changed();
  // Ends all watches.
  void reset();

 private:
  int max_watches_;
  UniqueFd fd_;
  bool full_ = false;
};

// Which directory a path leads to, and through which mount.
struct DirectoryIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t mount = 0;
  bool exists = false;

  // statx(2), following symlinks.
  [[nodiscard]] static DirectoryIdentity of(const std::string &path);
  bool operator==(const DirectoryIdentity &) const = default;
};

}  // namespace paddock::htaccess
