#include "base/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace paddock {

Result<UniqueFd> create_memory_file(const std::string &name, std::uint64_t size, const std::string &what) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return errno_error("memfd_create for " + what);
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return errno_error("size " + what);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return errno_error("seal " + what);
  return fd;
}

}  // namespace paddock
