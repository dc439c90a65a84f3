// Gateway <-> the workers of one sandbox: who accepts now, and connections that change hands. What comes from
// a worker is untrusted: it runs the tenant's code.
//
// As long as Page::takeover is 0, workers accept on the leased socket, and say no more than Full. While it is
// 1 the gateway accepts, and a worker that is free sends Ready and waits for exactly one answer: Connection
// (with the connection, SCM_RIGHTS) or Resume. Workers share one end of the socket, so that any of those who
// wait may take an answer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::handoff {

// Written by the gateway, read by workers with plain loads.
struct Page {
  std::atomic<std::uint32_t> takeover;  // 1: free workers ask the gateway instead of accepting
  // Changes whenever the gateway wants to be told (Full) that the last place is taken. Who has told waits for
  // the next change.
  std::atomic<std::uint32_t> alarm;
};

inline constexpr std::size_t kPageSize = 4096;

// A memfd of kPageSize zero bytes, mode 0600, sealed against resizing (memfd_create(2)): the tenant can
// neither truncate it nor open it anew for writing.
[[nodiscard]] Result<UniqueFd> create_page(const std::string &tenant);
// The same file with O_RDONLY, through /proc/self/fd: what a sandbox gets.
[[nodiscard]] Result<UniqueFd> reopen_read_only(BorrowedFd page);

// A mapping of a page. Owns it.
class MappedPage {
 public:
  MappedPage() = default;
  // Error: not a file of kPageSize bytes.
  [[nodiscard]] static Result<MappedPage> map(BorrowedFd fd, bool writable);
  MappedPage(MappedPage &&other) noexcept;
  MappedPage &operator=(MappedPage &&other) noexcept;
  ~MappedPage();
  Page *operator->() const { return page_; }
  [[nodiscard]] Page *get() const { return page_; }
  [[nodiscard]] bool valid() const { return page_ != nullptr; }

 private:
  explicit MappedPage(Page *page) : page_(page) {}
  Page *page_ = nullptr;
};

// Worker to gateway: I am free.
struct Ready {
  static constexpr std::uint8_t kType = 1;

  template <typename Io>
  void fields(Io &) {}
};

// Sandbox to gateway: every place is taken, or no worker can be had. Sent once for each value of Page::alarm.
struct Full {
  static constexpr std::uint8_t kType = 2;

  template <typename Io>
  void fields(Io &) {}
};

// Gateway to worker, one descriptor: an accepted connection, nothing read from it yet.
struct Connection {
  static constexpr std::uint8_t kType = 16;

  template <typename Io>
  void fields(Io &) {}
};

// Gateway to worker: accept again.
struct Resume {
  static constexpr std::uint8_t kType = 17;

  template <typename Io>
  void fields(Io &) {}
};

}  // namespace paddock::handoff
