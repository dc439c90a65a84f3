// A request's body that lies in memory as a whole, in the pieces that its FastCGI records had.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "php_worker/body_memory.h"

namespace paddock::php_worker {

class CollectedBody {
 public:
  // The next piece: inside the memory that keep() gets, or else copied.
  void add(std::span<const std::uint8_t> piece, bool copied);
  void keep(BodyMemory memory) { memory_ = std::move(memory); }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  // As many of the bytes from `at` on as there are and fit.
  std::size_t read(std::uint64_t at, std::span<char> to) const;

 private:
  struct Piece {
    std::uint64_t at = 0;
    std::span<const std::uint8_t> bytes;
  };

  BodyMemory memory_;
  std::deque<std::vector<std::uint8_t>> copies_;
  std::vector<Piece> pieces_;  // in their order, none empty
  std::uint64_t size_ = 0;
};

}  // namespace paddock::php_worker
