// A request's bytes as they are collected: received straight into anonymous memory that grows, so that the
// kernel's copy out of the socket is the only one before PHP has them. The memory is the worker's own,
// charged to its tenant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::php_worker {

class BodyMemory {
 public:
  BodyMemory() = default;
  ~BodyMemory() { release(); }
  BodyMemory(BodyMemory &&other) noexcept { swap(other); }
  BodyMemory &operator=(BodyMemory &&other) noexcept {
    swap(other);
    return *this;
  }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Where the next bytes go, 64 KiB or more (mremap(2), MADV_POPULATE_WRITE: what was returned before is
  // gone); empty: there is no memory.
  [[nodiscard]] std::span<std::uint8_t> room();
  void add(std::size_t size) { size_ += size; }

  // The bytes from `offset` on, as many as are at hand. What lies before is given back to the kernel
  // (MADV_DONTNEED), in steps, and is zeros from then on: a body must not be in memory twice, here and in
  // PHP's temporary file.
  [[nodiscard]] std::span<const std::uint8_t> read(std::uint64_t offset);
  // All from `offset` on, and nothing is given back.
  [[nodiscard]] std::span<const std::uint8_t> all(std::uint64_t offset) const {
    return {base_ + offset, static_cast<std::size_t>(size_ - offset)};
  }

  // All bytes in a sealed memfd, while their pages here are given back one after the other. Afterwards this
  // is empty, with an error too.
  [[nodiscard]] Result<UniqueFd> move_to_file();
  // Keeps the mapping for the next request, if it is a small one.
  void clear();

 private:
  void swap(BodyMemory &other) noexcept;
  void release();
  void give_back(std::uint64_t before);

  std::uint8_t *base_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t populated_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t given_back_ = 0;
};

}  // namespace paddock::php_worker
