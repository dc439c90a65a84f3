#include "protocols/scoreboard/scoreboard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/memory_file.h"

namespace paddock::scoreboard {

Result<UniqueFd> create_board(const std::string &tenant) {
  return create_memory_file("paddock-board-" + tenant, kBoardSize, "the scoreboard of " + tenant);
}

Result<MappedBoard> MappedBoard::map(BorrowedFd fd, bool writable) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("look at a scoreboard");
  if (status.st_size != static_cast<off_t>(kBoardSize)) return errno_error("map a scoreboard", EINVAL);
  void *at =
      ::mmap(nullptr, kBoardSize, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return errno_error("map a scoreboard");
  return MappedBoard(static_cast<Board *>(at));
}

MappedBoard::MappedBoard(MappedBoard &&other) noexcept : board_(std::exchange(other.board_, nullptr)) {}

MappedBoard &MappedBoard::operator=(MappedBoard &&other) noexcept {
  std::swap(board_, other.board_);
  return *this;
}

MappedBoard::~MappedBoard() {
  if (board_ != nullptr) ::munmap(board_, kBoardSize);
}

namespace {
template <std::size_t N>
std::string bounded(const char (&text)[N]) {
  // Copied first: the tenant may write while we look for the end.
  char copy[N];
  std::memcpy(copy, text, N);
  return {copy, ::strnlen(copy, N)};
}
}  // namespace

SlotView read_slot(const Slot &slot) {
  SlotView view;
  const std::uint32_t state = slot.state.load(std::memory_order_acquire);
  view.state = state > static_cast<std::uint32_t>(State::kBusy) ? State::kEmpty : static_cast<State>(state);
  view.pid = slot.pid.load(std::memory_order_relaxed);
  view.since_ns = slot.since_ns.load(std::memory_order_relaxed);
  view.requests = slot.requests.load(std::memory_order_relaxed);
  view.content_length = slot.content_length.load(std::memory_order_relaxed);
  view.last_cpu_ns = slot.last_cpu_ns.load(std::memory_order_relaxed);
  view.last_taken_ns = slot.last_taken_ns.load(std::memory_order_relaxed);
  view.last_memory = slot.last_memory.load(std::memory_order_relaxed);
  view.method = bounded(slot.method);
  view.uri = bounded(slot.uri);
  view.script = bounded(slot.script);
  return view;
}

}  // namespace paddock::scoreboard
