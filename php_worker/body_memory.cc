#include "php_worker/body_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "protocols/handoff/handoff.h"

namespace paddock::php_worker {
namespace {

constexpr std::size_t kLeastRoom = std::size_t{64} * 1024;
// Pages are made so many at a time: a fault for each would cost as much as the copy.
constexpr std::size_t kStep = std::size_t{256} * 1024;
constexpr std::size_t kKeptCapacity = kStep;
constexpr std::uint64_t kReadSize = 1 << 20;
constexpr std::uint64_t kGiveBackSize = 4 << 20;

}  // namespace

std::span<std::uint8_t> BodyMemory::room() {
  const auto size = static_cast<std::size_t>(size_);
  if (capacity_ - size < kLeastRoom) {
    const std::size_t capacity = std::max(kKeptCapacity, capacity_ * 2);
    void *const moved = base_ == nullptr ? ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                         : ::mremap(base_, capacity_, capacity, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) return {};
    base_ = static_cast<std::uint8_t *>(moved);
    capacity_ = capacity;
  }
  if (populated_ < size + kLeastRoom) {
    const std::size_t more = std::min(kStep, capacity_ - populated_);
    // Kernels before 5.14 do not know it, and make each page when it is written.
    ::madvise(base_ + populated_, more, MADV_POPULATE_WRITE);
    populated_ += more;
  }
  return {base_ + size, populated_ - size};
}

std::span<const std::uint8_t> BodyMemory::read(std::uint64_t offset) {
  give_back(offset);
  const auto length = static_cast<std::size_t>(std::min(kReadSize, size_ - offset));
  return {base_ + offset, length};
}

void BodyMemory::give_back(std::uint64_t before) {
  const std::uint64_t end = before / kGiveBackSize * kGiveBackSize;
  if (end <= given_back_) return;
  ::madvise(base_ + given_back_, static_cast<std::size_t>(end - given_back_), MADV_DONTNEED);
  given_back_ = end;
}

Result<UniqueFd> BodyMemory::move_to_file() {
  auto file = [this]() -> Result<UniqueFd> {
    UniqueFd fd(::memfd_create("paddock-request", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.valid()) return errno_error("make a memfd for a request");
    for (std::uint64_t at = 0; at < size_;) {
      const auto bytes = read(at);
      const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return errno_error("write a request to its memfd");
      at += static_cast<std::uint64_t>(written);
    }
    if (!handoff::seal(fd)) return errno_error("seal a request's memfd");
    return fd;
  }();
  release();
  return file;
}

void BodyMemory::swap(BodyMemory &other) noexcept {
  std::swap(base_, other.base_);
  std::swap(capacity_, other.capacity_);
  std::swap(populated_, other.populated_);
  std::swap(size_, other.size_);
  std::swap(given_back_, other.given_back_);
}

void BodyMemory::clear() {
  if (capacity_ > kKeptCapacity) return release();
  size_ = 0;
  given_back_ = 0;
}

void BodyMemory::release() {
  if (base_ != nullptr) ::munmap(base_, capacity_);
  base_ = nullptr;
  capacity_ = populated_ = 0;
  size_ = given_back_ = 0;
}

}  // namespace paddock::php_worker
