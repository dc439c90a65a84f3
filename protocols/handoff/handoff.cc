#include "protocols/handoff/handoff.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/file.h"
#include "base/memory_file.h"

namespace paddock::handoff {
namespace {

constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

}  // namespace

Result<UniqueFd> create_page(const std::string &tenant) {
  PADDOCK_TRY(UniqueFd fd,
              create_memory_file("paddock-handoff-" + tenant, kPageSize, "the handoff page of " + tenant));
  // memfds are born 0777: whoever holds one in /proc/self/fd could open it again for writing.
  if (::fchmod(fd.get(), 0600) != 0) return errno_error("chmod the handoff page of " + tenant);
  return fd;
}

Result<UniqueFd> reopen_read_only(BorrowedFd page) {
  return open_file("/proc/self/fd/" + std::to_string(page.get()), O_RDONLY);
}

Result<void> seal(BorrowedFd fd) {
  if (::fcntl(fd.get(), F_ADD_SEALS, kAllSeals) != 0) return errno_error("seal a memfd");
  return {};
}

Result<std::uint64_t> sealed_size(BorrowedFd fd) {
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kAllSeals) != kAllSeals) return Error{"use a part: it is no sealed memfd"};
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("look at a part");
  return static_cast<std::uint64_t>(status.st_size);
}

Result<MappedPage> MappedPage::map(BorrowedFd fd, bool writable) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("look at a handoff page");
  if (status.st_size != static_cast<off_t>(kPageSize)) return errno_error("map a handoff page", EINVAL);
  void *at =
      ::mmap(nullptr, kPageSize, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return errno_error("map a handoff page");
  return MappedPage(static_cast<Page *>(at));
}

MappedPage::MappedPage(MappedPage &&other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

MappedPage &MappedPage::operator=(MappedPage &&other) noexcept {
  std::swap(page_, other.page_);
  return *this;
}

MappedPage::~MappedPage() {
  if (page_ != nullptr) ::munmap(page_, kPageSize);
}

}  // namespace paddock::handoff
