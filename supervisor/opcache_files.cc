#include "supervisor/opcache_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/memory_file.h"

namespace paddock::supervisor {

Result<OpcacheFiles> OpcacheFiles::make(std::uint64_t zygote, const std::vector<std::uint64_t> &sizes) {
  OpcacheFiles made;
  made.zygote = zygote;
  for (const std::uint64_t size : sizes) {
    PADDOCK_TRY(UniqueFd file, create_memory_file("paddock-opcache", size, "opcache's memory"));
    made.files.push_back(std::move(file));
  }
  return made;
}

Result<std::vector<UniqueFd>> OpcacheFiles::duplicate() const {
  std::vector<UniqueFd> copies;
  for (const UniqueFd &file : files) {
    UniqueFd copy(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return errno_error("duplicate a descriptor of opcache's memory");
    copies.push_back(std::move(copy));
  }
  return copies;
}

std::uint64_t OpcacheFiles::held() const {
  constexpr std::uint64_t kBlock = 512;  // of st_blocks (inode(7))
  std::uint64_t bytes = 0;
  for (const UniqueFd &file : files) {
    struct stat status {};
    if (::fstat(file.get(), &status) == 0) bytes += static_cast<std::uint64_t>(status.st_blocks) * kBlock;
  }
  return bytes;
}

}  // namespace paddock::supervisor
