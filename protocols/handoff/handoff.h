// Gateway <-> the workers of one sandbox: who accepts now, and connections that change hands. What comes from
// a worker is untrusted: it runs the tenant's code.
//
// As long as Page::takeover is 0, workers accept on the leased socket, and say no more than Full and Slow.
// While it is 1 a worker that is free sends Ready and waits for an answer:
// Connection (with the connection, SCM_RIGHTS) or Resume; the gateway accepts, or only has something to give
// to whoever is free next. Workers share one end of the socket, so that any of those who wait may take an
// answer, and nobody else does: who waits is on the scoreboard (Slot::asks).
//
// The gateway also hands out connections that nobody has asked for: requests that were slow to come and are
// whole now. Page::handed tells free workers to look; the keeper wakes one where all of them are in
// accept(2).
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
  // Changes after each Connection that was sent: who finds the socket empty afterwards has seen them all.
  std::atomic<std::uint32_t> handed;
  std::atomic<std::uint32_t> send_time_ms;  // in which a client has to take a part of its answer
  std::atomic<std::uint64_t> header_limit;  // bytes of one request's params; 0: none
  std::atomic<std::uint64_t> body_limit;    // bytes of one request's body; 0: none
  std::atomic<std::uint64_t> answer_limit;  // bytes of one answer that may wait for its client
  // For the status page: requests that wait in the gateway, the most that did, and that may; and how often it
  // has stepped in since all workers were busy and none came free.
  std::atomic<std::uint32_t> queue;
  std::atomic<std::uint32_t> queue_most;
  std::atomic<std::uint32_t> queue_limit;
  std::atomic<std::uint32_t> takeovers;
};

// What a message carries of a request that was received already, at most. Fits wire::kMaxMessage with room.
inline constexpr std::size_t kMaxReceived = std::size_t{56} * 1024;

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

// The descriptors of a Slow and of a Connection: the connection, then files with what was received after
// `received`, in this order.
inline constexpr std::size_t kConnectionFd = 0;
inline constexpr std::size_t kMaxParts = 2;

// Sandbox to gateway: an accepted connection whose request does not come, or not wholly; or one of the
// gateway's that no worker took (then the keeper sends it). At most one part, a
// memfd that is sealed against every change (whoever reads it is not made to wait by the tenant).
struct Slow {
  static constexpr std::uint8_t kType = 3;
  std::string received;  // at most kMaxReceived

  template <typename Io>
  void fields(Io &io) {
    io(received);
  }
};

// Worker to gateway: an answer has been written as far as the client took it. One descriptor: nothing is left
// but to read the rest of the request, since who closes before makes the peer's write fail. Two: a memfd,
// sealed as above, whose bytes from `offset` on are still to be sent.
struct Unread {
  static constexpr std::uint8_t kType = 4;
  std::uint64_t offset = 0;
  bool request_over = false;  // nothing of the request is on the wire: close once all is sent

  template <typename Io>
  void fields(Io &io) {
    io(offset);
    io(request_over);
  }
};

// Worker to gateway, for the figures: a request was refused since its header is longer than
// Page::header_limit or its body longer than body_limit, or an answer cut off since its client did not take
// it.
struct Refused {
  static constexpr std::uint8_t kType = 5;
  enum class Why : std::uint8_t { kBody = 0, kUnread = 1, kHeader = 2 };
  Why why = Why::kBody;

  template <typename Io>
  void fields(Io &io) {
    io(why);
  }
};

// Gateway to worker: an accepted connection. With what was received already: then the request is whole.
struct Connection {
  static constexpr std::uint8_t kType = 16;
  std::string received;

  template <typename Io>
  void fields(Io &io) {
    io(received);
  }
};

// A memfd that nothing can be written to any more, by anybody (F_SEAL_WRITE, memfd_create(2)), and its size.
// Error: anything else, which could make its reader wait (a pipe, a FUSE file) or change under it.
[[nodiscard]] Result<std::uint64_t> sealed_size(BorrowedFd fd);
// Seals a memfd of MFD_ALLOW_SEALING so. No writable mapping of it may exist.
[[nodiscard]] Result<void> seal(BorrowedFd fd);

// Gateway to worker: accept again.
struct Resume {
  static constexpr std::uint8_t kType = 17;

  template <typename Io>
  void fields(Io &) {}
};

}  // namespace paddock::handoff
