#include "php_worker/inbox.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "protocols/handoff/handoff.h"

namespace paddock::php_worker {
namespace {

static_assert(handoff::kMaxReceived <= Inbox::kSize);

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
  memory_.clear();
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
  if (buffered_ < handoff::kMaxReceived && memory_.size() == 0) {
    const Received how =
        receive_into(fd, buffer_.get() + buffered_, handoff::kMaxReceived - buffered_, bytes);
    if (how == Received::kBytes) buffered_ += bytes.size();
    return how;
  }
  const std::span<std::uint8_t> room = memory_.room();
  if (room.empty()) return Received::kFailed;
  const Received how = receive_into(fd, room.data(), room.size(), bytes);
  if (how == Received::kBytes) memory_.add(bytes.size());
  return how;
}

std::span<const std::uint8_t> Inbox::replay() {
  if (replayed_ < buffered_) {
    const auto from = static_cast<std::size_t>(replayed_);
    replayed_ = buffered_;
    return {buffer_.get() + from, buffered_ - from};
  }
  std::uint64_t at = replayed_ - buffered_;
  if (at < memory_.size()) {
    const auto bytes = memory_.read(at);
    replayed_ += bytes.size();
    return bytes;
  }
  at -= memory_.size();
  for (const File &file : files_) {
    if (at >= file.size) {
      at -= file.size;
      continue;
    }
    const ssize_t got = ::pread(file.fd.get(), buffer_.get(), std::min<std::uint64_t>(kSize, file.size - at),
                                static_cast<off_t>(at));
    if (got <= 0) break;
    const auto size = static_cast<std::uint64_t>(got);
    replayed_ += size;
    return {buffer_.get(), static_cast<std::size_t>(size)};
  }
  replayed_ = kept();
  return {};
}

std::optional<std::array<std::span<const std::uint8_t>, 2>> Inbox::unreplayed() const {
  if (!files_.empty()) return std::nullopt;
  const auto in_buffer = static_cast<std::size_t>(std::min<std::uint64_t>(replayed_, buffered_));
  return std::array{std::span<const std::uint8_t>(buffer_.get() + in_buffer, buffered_ - in_buffer),
                    memory_.all(replayed_ - in_buffer)};
}

BodyMemory Inbox::take_memory() {
  buffered_ = 0;
  replayed_ = 0;
  return std::move(memory_);
}

void Inbox::forget_all_but(std::span<const std::uint8_t> &rest) {
  if (!rest.empty()) std::memmove(buffer_.get(), rest.data(), rest.size());
  rest = {buffer_.get(), rest.size()};
  buffered_ = rest.size();
}

std::string_view Inbox::buffered() const {
  return {reinterpret_cast<const char *>(buffer_.get()), buffered_};
}

Result<BorrowedFd> Inbox::file() {
  if (const std::uint64_t size = memory_.size(); size > 0) {
    PADDOCK_TRY(UniqueFd fd, memory_.move_to_file());
    files_.push_back({std::move(fd), size});
    filed_ += size;
  }
  return files_.empty() ? BorrowedFd() : files_.front().fd.borrow();
}

}  // namespace paddock::php_worker
