#include "php_worker/inbox.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "protocols/handoff/handoff.h"

namespace paddock::php_worker {
namespace {

static_assert(handoff::kMaxReceived <= Inbox::kSize);

// Replayed pages of our own file go back after so many bytes: a body must not be in memory twice, here and
// in PHP's temporary file.
constexpr std::uint64_t kPunchSize = 4 << 20;

Inbox::Received receive_into(int fd, std::uint8_t *to, std::size_t size,
                             std::span<const std::uint8_t> &bytes) {
  for (;;) {
    const ssize_t got = ::recv(fd, to, size, MSG_DONTWAIT);
    if (got > 0) {
      bytes = {to, static_cast<std::size_t>(got)};
      return Inbox::Received::kBytes;
    }
    if (got == 0) return Inbox::Received::kEnd;
    if (errno == EINTR) continue;
    return errno == EAGAIN ? Inbox::Received::kNothing : Inbox::Received::kFailed;
  }
}

}  // namespace

Inbox::Inbox() : buffer_(std::make_unique<std::uint8_t[]>(kSize)) {}

void Inbox::reset() {
  buffered_ = 0;
  filed_ = 0;
  replayed_ = 0;
  own_file_ = false;
  files_.clear();
}

void Inbox::reset(std::string_view received, std::vector<UniqueFd> files) {
  reset();
  buffered_ = std::min(received.size(), kSize);
  std::memcpy(buffer_.get(), received.data(), buffered_);
  for (UniqueFd &fd : files) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) continue;
    filed_ += static_cast<std::uint64_t>(status.st_size);
    files_.push_back({std::move(fd), static_cast<std::uint64_t>(status.st_size)});
  }
}

Inbox::Received Inbox::receive(int fd, std::span<const std::uint8_t> &bytes) {
  return receive_into(fd, buffer_.get(), kSize, bytes);
}

Inbox::Received Inbox::receive_and_keep(int fd, std::span<const std::uint8_t> &bytes) {
  if (buffered_ < handoff::kMaxReceived && files_.empty()) {
    const Received how =
        receive_into(fd, buffer_.get() + buffered_, handoff::kMaxReceived - buffered_, bytes);
    if (how == Received::kBytes) buffered_ += bytes.size();
    return how;
  }
  if (!overflow_) overflow_ = std::make_unique<std::uint8_t[]>(kSize);
  const Received how = receive_into(fd, overflow_.get(), kSize, bytes);
  if (how == Received::kBytes && !append_to_file(bytes)) return Received::kFailed;
  return how;
}

bool Inbox::append_to_file(std::span<const std::uint8_t> bytes) {
  if (files_.empty()) {
    UniqueFd fd(::memfd_create("paddock-request", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.valid()) return false;
    files_.push_back({std::move(fd), 0});
    own_file_ = true;
  }
  File &file = files_.back();
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file.fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(file.size));
    if (written <= 0) return false;
    file.size += static_cast<std::uint64_t>(written);
    filed_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

std::span<const std::uint8_t> Inbox::replay() {
  if (replayed_ < buffered_) {
    const auto from = static_cast<std::size_t>(replayed_);
    replayed_ = buffered_;
    return {buffer_.get() + from, buffered_ - from};
  }
  std::uint64_t at = replayed_ - buffered_;
  for (const File &file : files_) {
    if (at >= file.size) {
      at -= file.size;
      continue;
    }
    const ssize_t got = ::pread(file.fd.get(), buffer_.get(), std::min<std::uint64_t>(kSize, file.size - at),
                                static_cast<off_t>(at));
    if (got <= 0) break;
    const auto size = static_cast<std::uint64_t>(got);
    if (own_file_ && (at + size) / kPunchSize != at / kPunchSize)
      ::fallocate(file.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  static_cast<off_t>((at + size) / kPunchSize * kPunchSize));
    replayed_ += size;
    return {buffer_.get(), static_cast<std::size_t>(size)};
  }
  replayed_ = kept();
  return {};
}

void Inbox::forget_all_but(std::span<const std::uint8_t> &rest) {
  if (!rest.empty()) std::memmove(buffer_.get(), rest.data(), rest.size());
  rest = {buffer_.get(), rest.size()};
  buffered_ = rest.size();
}

std::string_view Inbox::buffered() const {
  return {reinterpret_cast<const char *>(buffer_.get()), buffered_};
}

BorrowedFd Inbox::seal_file() {
  if (files_.empty()) return {};
  if (!handoff::seal(files_.front().fd)) return {};
  own_file_ = false;
  return files_.front().fd;
}

}  // namespace paddock::php_worker
