// The part of an answer that its peer does not take: a memfd, charged to the tenant. What it takes meanwhile
// leaves from there, in order, and its pages go back; the rest can be given away.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace paddock::php_worker {

class Outbox {
 public:
  [[nodiscard]] bool empty() const { return sent_ == size_; }
  [[nodiscard]] std::uint64_t pending() const { return size_ - sent_; }
  // False: no memory for it.
  bool append(const iovec *pieces, std::size_t count);

  // As much as the peer takes without waiting. False: it is gone.
  bool send_to(int fd);

  // For giving it away: what is pending is the file's from offset() on. The file is sealed by this; invalid
  // where that fails.
  [[nodiscard]] BorrowedFd seal();
  [[nodiscard]] std::uint64_t offset() const { return sent_; }

  void reset();

 private:
  UniqueFd file_;
  std::uint64_t size_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace paddock::php_worker
