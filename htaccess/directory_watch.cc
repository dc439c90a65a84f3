#include "htaccess/directory_watch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace paddock::htaccess {
namespace {

constexpr std::uint32_t kSelf = IN_MOVE_SELF | IN_DELETE_SELF;
constexpr std::uint32_t kEntries = IN_CREATE | IN_MOVED_TO;

// Who floods a directory with events is not followed for ever.
constexpr int kMaxReads = 64;

// statfs(2)'s numbers of file systems that only this kernel changes. linux/magic.h lacks the last one.
constexpr std::array<unsigned long, 8> kLocal = {EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                                                 TMPFS_MAGIC,           RAMFS_MAGIC,     F2FS_SUPER_MAGIC,
                                                 OVERLAYFS_SUPER_MAGIC, 0x2FC12FC1UL /* ZFS */};

bool is_local(const std::string &directory) {
  struct statfs status {};
  if (::statfs(directory.c_str(), &status) != 0) return false;
  const auto type = static_cast<unsigned long>(status.f_type) & 0xFFFFFFFFUL;
  return std::find(kLocal.begin(), kLocal.end(), type) != kLocal.end();
}

bool matters(const inotify_event &event, const char *name) {
  if ((event.mask & (kSelf | IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW)) != 0) return true;
  return (event.mask & kEntries) != 0 && event.len > 0 && std::string_view(name) == ".htaccess";
}

}  // namespace

DirectoryWatch::Added DirectoryWatch::add(const std::string &directory, bool entries) {
  // A new instance would not have what was watched for the same path just now: changed() begins it.
  if (full_ || !is_local(directory)) return Added::kNo;
  if (!fd_.valid()) fd_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd_.valid()) return Added::kNo;
  // Two paths can lead to one directory, of which only one asks for its entries: what was asked for stays.
  const std::uint32_t mask = kSelf | (entries ? kEntries : 0U) | IN_ONLYDIR | IN_MASK_ADD;
  int watch = ::inotify_add_watch(fd_.get(), directory.c_str(), mask | IN_DONT_FOLLOW);
  Added added = Added::kYes;
  if (watch < 0 && errno == ENOTDIR) {
    watch = ::inotify_add_watch(fd_.get(), directory.c_str(), mask);
    added = Added::kFollowed;
  }
  if (watch < 0) return errno == EACCES ? Added::kUnreadable : Added::kNo;
  // Numbers are given in ascending order: this is how many there have been.
  full_ = watch >= max_watches_;
  return added;
}

bool DirectoryWatch::changed() {
  if (!fd_.valid()) return true;
  if (full_) {
    reset();
    return true;
  }
  bool changed = false;
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return changed;
    if (got <= 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      changed |= matters(event, buffer.data() + at + sizeof event);
      at += sizeof event + event.len;
    }
  }
  reset();
  return true;
}

void DirectoryWatch::reset() {
  fd_.reset();
  full_ = false;
}

DirectoryIdentity DirectoryIdentity::of(const std::string &path) {
  struct statx status {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_MNT_ID, &status) != 0) return {};
  return {::makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino,
          (status.stx_mask & STATX_MNT_ID) != 0 ? status.stx_mnt_id : 0, true};
}

}  // namespace paddock::htaccess
