#include "fcgi_gateway/spool.h"

#include <fcntl.h>
#include <sys/mman.h>

namespace paddock::fcgi_gateway {

Result<UniqueFd> Spool::create() const {
  if (directory_.valid()) {
    UniqueFd fd(::openat(directory_.get(), ".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600));
    if (fd.valid()) return fd;
    // A filesystem that cannot (overlayfs before 6.3, NFS).
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
      return errno_error("make a file in the spool directory");
  }
  UniqueFd fd(::memfd_create("paddock-spool", MFD_CLOEXEC));
  if (!fd.valid()) return errno_error("memfd_create for the spool");
  return fd;
}

}  // namespace paddock::fcgi_gateway
