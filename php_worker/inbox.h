// What has been received on one connection: a buffer, and memory for what does not fit, or files where
// somebody else has collected it. While a request is being collected everything is kept, so that the request
// can be given away; then it is replayed, and what comes after that is not kept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "php_worker/body_memory.h"

namespace paddock::php_worker {

class Inbox {
 public:
  static constexpr std::size_t kSize = 64 * 1024;
  enum class Received : std::uint8_t { kBytes, kNothing, kEnd, kFailed };

  Inbox();

  // Another connection. With what somebody else had received of it: `received`, then the files.
  void reset();
  void reset(std::string_view received, std::vector<UniqueFd> files);

  // recv(2) without waiting, and nothing is kept: what was returned before is gone.
  Received receive(int fd, std::span<const std::uint8_t> &bytes);
  // The same, and kept. kFailed: no memory for it, too.
  Received receive_and_keep(int fd, std::span<const std::uint8_t> &bytes);
  // From here on replay() begins: after `consumed` of the kept bytes.
  void rewind_to(std::uint64_t consumed) { replayed_ = consumed; }
  // The next of the kept bytes; empty: there are no more. What was returned before is gone.
  std::span<const std::uint8_t> replay();
  // The kept bytes that have not been replayed: the buffer's, the memory's. nullopt: they are in files.
  [[nodiscard]] std::optional<std::array<std::span<const std::uint8_t>, 2>> unreplayed() const;
  // Of these the memory's; none is kept any more.
  [[nodiscard]] BodyMemory take_memory();
  // The kept bytes up to now need not be kept any more, but for `rest`, which becomes all that is kept.
  void forget_all_but(std::span<const std::uint8_t> &rest);

  [[nodiscard]] std::uint64_t kept() const { return buffered_ + memory_.size() + filed_; }
  // For giving it away: the kept bytes are the buffer's, then the file's (invalid: none), which is sealed and
  // made by this. With an error they are lost.
  [[nodiscard]] std::string_view buffered() const;
  [[nodiscard]] Result<BorrowedFd> file();

 private:
  struct File {
    UniqueFd fd;
    std::uint64_t size = 0;
  };

  std::unique_ptr<std::uint8_t[]> buffer_;
  std::size_t buffered_ = 0;  // kept bytes in buffer_
  BodyMemory memory_;         // what came after those
  std::vector<File> files_;   // the same, where it is not in memory
  std::uint64_t filed_ = 0;
  std::uint64_t replayed_ = 0;
};

}  // namespace paddock::php_worker
