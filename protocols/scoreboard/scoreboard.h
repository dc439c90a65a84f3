// The page that a sandbox's workers write and the supervisor reads: who does what. One memfd a sandbox.
//
// Written by the tenant's processes, so its every byte may be a lie: readers take copies (read_slot), bound
// every number and escape every text. Workers write their slot with plain stores and no system call.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/latency_buckets.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::scoreboard {

inline constexpr std::uint32_t kMaxWorkers = 256;
inline constexpr std::size_t kTextSize = 160;
inline constexpr std::size_t kStatusClasses = 6;

enum class State : std::uint32_t { kEmpty = 0, kIdle = 1, kBusy = 2 };

// Times are CLOCK_MONOTONIC nanoseconds (one clock for the host and every sandbox: no time namespace is
// made).
struct Slot {
  std::atomic<std::uint32_t> state;           // State
  std::atomic<std::int32_t> pid;              // in the sandbox's pid namespace
  std::atomic<std::uint64_t> since_ns;        // start of the running request, or end of the last
  std::atomic<std::uint64_t> requests;        // finished by this worker process
  std::atomic<std::uint64_t> content_length;  // of the running or last request, as its client says
  char method[16];                            // of it too; not always terminated
  char uri[kTextSize];
  char script[kTextSize];
  // Of the last request, where somebody may ask (a plan with a status page or an access log).
  std::atomic<std::uint64_t> last_cpu_ns;
  std::atomic<std::uint64_t> last_taken_ns;
  std::atomic<std::uint64_t> last_memory;
  std::atomic<std::uint32_t> asks;  // 1: it waits for the gateway's answer (handoff::Ready)
};

struct Board {
  std::atomic<std::uint32_t> workers;      // processes that could serve now
  std::atomic<std::uint32_t> busy;         // of these, in a request
  std::atomic<std::uint32_t> busy_most;    // the most at once since the sandbox started
  std::atomic<std::uint64_t> requests;     // finished since the sandbox started
  std::atomic<std::uint64_t> request_ns;   // their wall time, summed
  std::atomic<std::uint64_t> last_end_ns;  // when the last request ended
  std::atomic<std::uint64_t> late;         // requests that were past their deadline
  std::atomic<std::uint64_t> slow;         // requests that the slow log has
  std::atomic<std::uint64_t> bytes_in;     // of request bodies that came
  std::atomic<std::uint64_t> bytes_out;    // of answers, headers included
  // Of `requests`: by the first digit of the status that was sent (0: none was), and by how long they ran
  alignas(64) std::array<std::atomic<std::uint64_t>, kStatusClasses> by_class;
  std::array<std::atomic<std::uint64_t>, kLatencyBuckets> by_time;
  alignas(64) Slot slots[kMaxWorkers];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Size of the file: whole pages; only the pages of slots in use are ever touched, so only those cost memory.
inline constexpr std::size_t kBoardSize = (sizeof(Board) + 4095) / 4096 * 4096;

// A sealed memfd of kBoardSize zero bytes (F_SEAL_SHRINK|GROW|SEAL: a tenant that truncates it would raise
// SIGBUS in its readers).
[[nodiscard]] Result<UniqueFd> create_board(const std::string &tenant);

// A mapping of a board. Owns it.
class MappedBoard {
 public:
  MappedBoard() = default;
  // Error: not a file of kBoardSize bytes.
  [[nodiscard]] static Result<MappedBoard> map(BorrowedFd fd, bool writable);
  MappedBoard(MappedBoard &&other) noexcept;
  MappedBoard &operator=(MappedBoard &&other) noexcept;
  ~MappedBoard();
  Board *operator->() const { return board_; }
  [[nodiscard]] Board *get() const { return board_; }
  [[nodiscard]] bool valid() const { return board_ != nullptr; }

 private:
  explicit MappedBoard(Board *board) : board_(board) {}
  Board *board_ = nullptr;
};

// A reader's copy of a slot: bounded, but its texts still hostile.
struct SlotView {
  State state = State::kEmpty;
  std::int32_t pid = 0;
  std::uint64_t since_ns = 0;
  std::uint64_t requests = 0;
  std::uint64_t content_length = 0;
  std::uint64_t last_cpu_ns = 0;
  std::uint64_t last_taken_ns = 0;
  std::uint64_t last_memory = 0;
  std::string method;
  std::string uri;
  std::string script;
};
[[nodiscard]] SlotView read_slot(const Slot &slot);

}  // namespace paddock::scoreboard
