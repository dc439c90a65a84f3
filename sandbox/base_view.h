// The small read-only view of the host that all sandboxes share; the zygote lives in it.
//
// A sandbox starts with a copy of its creator's mount namespace. Copied from the host that would be every
// mount the host has; copied from here it is five or so, and nothing of the host's secrets is in it, not even
// for a moment.
//
//   /usr            the host's, read-only (with /bin, /lib*, /sbin as the host has them: links or
//   directories) /etc            copies of the files that programs need (kEtcFiles in base_view.cc), never
//   one that others
//                   cannot read; taken once: the zygote is restarted to show a changed resolv.conf
//   /dev            null zero full random urandom tty, links for fd and stdio
//   /proc           of the zygote's own pid namespace
//   /run /tmp /home /var /mnt   empty
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace paddock::sandbox {

struct BaseViewOptions {
  std::vector<std::string>
      paths;  // further absolute host paths, shown read-only at the same place to every tenant
  std::vector<std::string> etc_paths;  // further files or directories below /etc, without "/etc/": "dokuwiki"
};

class BaseView {
 public:
  // Something that each view repeats below its root.
  struct Entry {
    std::string path;  // without the leading '/': "usr", "lib64", "opt/php"
    std::string link;  // the target, where it is a symbolic link; empty: bound recursively, read-only
    bool directory = true;
  };

  // A part of /proc that a view hides or makes read-only.
  struct Mask {
    enum class Kind { kEmptyFile, kEmptyDirectory, kReadOnly };
    std::string path;  // without the leading '/': "proc/kcore"
    Kind kind;
  };

  // Moves the calling process into a mount namespace of its own with this view as root and working directory
  // (unshare(2), pivot_root(2)). Needs CAP_SYS_ADMIN; the process must have one thread. On an error the
  // process may be left in a half-built namespace: it should end. Opened descriptors stay usable.
  [[nodiscard]] static Result<BaseView> enter(const BaseViewOptions &options = {});

  [[nodiscard]] const std::vector<Entry> &entries() const { return entries_; }
  // Those of kProcMasks (base_view.cc) that this kernel has.
  [[nodiscard]] const std::vector<Mask> &masks() const { return masks_; }

 private:
  BaseView() = default;
  static Result<BaseView> build_and_enter(const BaseViewOptions &options);

  std::vector<Entry> entries_;
  std::vector<Mask> masks_;
};

}  // namespace paddock::sandbox
