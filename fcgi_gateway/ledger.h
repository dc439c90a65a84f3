// Which connections the gateway holds, and what is known of each: in memory that outlives the gateway, for
// the guardian to read. An entry is the descriptor's: entries are as many as descriptors may be open.
//
// Whoever changes what an entry stands for takes it out before and puts it back after: a gateway that is
// killed in between loses that connection, rather than to leave one of which a part is missing.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::fcgi_gateway {

class Ledger {
 public:
  enum class Kind : std::uint32_t {
    kNothing = 0,
    kRequest = 1,  // that no worker has; files hold what was received
    kAnswer = 2,   // files[0] holds it
    kSandbox = 3,  // no connection: the handoff socket of a sandbox, which may have given one away
  };
  static constexpr std::size_t kFiles = 3;
  using Files = std::array<int, kFiles>;  // descriptors, -1: none
  static constexpr Files kNoFiles{-1, -1, -1};
  // policies::is_valid_name() lets no longer one be, with its NUL.
  static constexpr std::size_t kNameSize = 64;

  struct Entry {
    std::atomic<Kind> kind;
    bool request_over;
    Files files;
    off_t offset;  // of the answer, from where on it is still to be sent
    std::array<char, kNameSize> tenant;
  };

  // Of a gateway that leaves nothing to anybody: every call does nothing.
  Ledger() = default;
  // For so many descriptors: mmap(2), MAP_SHARED, of which only what is used takes memory.
  [[nodiscard]] static Result<Ledger> create(std::size_t descriptors);
  ~Ledger();
  Ledger(Ledger &&other) noexcept;
  Ledger &operator=(Ledger &&other) noexcept;

  [[nodiscard]] bool kept() const { return book_ != nullptr; }
  // One past the highest descriptor that has ever had an entry.
  [[nodiscard]] int end() const;
  // Null where none is kept for such a number.
  [[nodiscard]] Entry *find(int fd) const;

 private:
  struct Book;
  void close();

  Book *book_ = nullptr;
  std::size_t descriptors_ = 0;
};

// An entry for as long as this lives, which is no longer than the descriptor.
class LedgerEntry {
 public:
  LedgerEntry() = default;
  LedgerEntry(const Ledger &ledger, BorrowedFd fd, std::string_view tenant);
  ~LedgerEntry() { reset(); }
  LedgerEntry(LedgerEntry &&other) noexcept;
  LedgerEntry &operator=(LedgerEntry &&other) noexcept;

  // From now on it is this, and to be passed on.
  void is_request(const Ledger::Files &files);
  void is_answer(int file, std::uint64_t offset, bool request_over);
  void is_sandbox();
  // Until one of those above or keep() says so again, it is not.
  void take_out();
  void keep();
  void reset();

  // Where the answer's offset is kept, which the kernel moves on by itself (sendfile(2)), so that no death
  // comes between a byte and its being counted. Null: there is no ledger.
  [[nodiscard]] off_t *offset() const { return entry_ == nullptr ? nullptr : &entry_->offset; }

 private:
  void become(Ledger::Kind kind);

  Ledger::Entry *entry_ = nullptr;
  Ledger::Kind kind_ = Ledger::Kind::kNothing;
};

}  // namespace paddock::fcgi_gateway
