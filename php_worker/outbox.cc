#include "php_worker/outbox.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "protocols/handoff/handoff.h"

namespace paddock::php_worker {
namespace {

constexpr std::size_t kPieceSize = std::size_t{64} * 1024;
// Pages that were sent go back after so many bytes.
constexpr std::uint64_t kPunchSize = 1 << 20;

}  // namespace

bool Outbox::append(const iovec *pieces, std::size_t count) {
  if (!file_.valid()) file_ = UniqueFd(::memfd_create("paddock-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file_.valid()) return false;
  for (; count > 0; ++pieces, --count) {
    const auto *from = static_cast<const char *>(pieces->iov_base);
    for (std::size_t left = pieces->iov_len; left > 0;) {
      const ssize_t written = ::pwrite(file_.get(), from, left, static_cast<off_t>(size_));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      size_ += static_cast<std::uint64_t>(written);
      from += written;
      left -= static_cast<std::size_t>(written);
    }
  }
  return true;
}

bool Outbox::send_to(int fd) {
  std::array<char, kPieceSize> buffer;
  while (!empty()) {
    const ssize_t got = ::pread(file_.get(), buffer.data(), std::min<std::uint64_t>(buffer.size(), pending()),
                                static_cast<off_t>(sent_));
    if (got <= 0) return false;
    const ssize_t sent =
        ::send(fd, buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    const std::uint64_t before = sent_ / kPunchSize;
    sent_ += static_cast<std::uint64_t>(sent);
    if (sent_ / kPunchSize != before)
      ::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  static_cast<off_t>(sent_ / kPunchSize * kPunchSize));
  }
  // Nothing of it is needed any more.
  if (size_ > 0 && ::ftruncate(file_.get(), 0) == 0) size_ = sent_ = 0;
  return true;
}

BorrowedFd Outbox::seal() {
  if (!file_.valid() || !handoff::seal(file_)) return {};
  return file_;
}

void Outbox::reset() {
  file_.reset();
  size_ = sent_ = 0;
}

}  // namespace paddock::php_worker
