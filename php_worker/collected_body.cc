#include "php_worker/collected_body.h"

#include <algorithm>
#include <cstring>

namespace paddock::php_worker {

void CollectedBody::add(std::span<const std::uint8_t> piece, bool copied) {
  if (piece.empty()) return;
  if (copied) piece = copies_.emplace_back(piece.begin(), piece.end());
  pieces_.push_back({size_, piece});
  size_ += piece.size();
}

std::size_t CollectedBody::read(std::uint64_t at, std::span<char> to) const {
  if (at >= size_) return 0;
  auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), at,
                                [](std::uint64_t offset, const Piece &other) { return offset < other.at; });
  --piece;  // the first begins at 0
  std::size_t filled = 0;
  for (; piece != pieces_.end() && filled < to.size(); ++piece) {
    const auto bytes = piece->bytes.subspan(static_cast<std::size_t>(at - piece->at));
    const std::size_t taken = std::min(bytes.size(), to.size() - filled);
    std::memcpy(to.data() + filled, bytes.data(), taken);
    filled += taken;
    at += taken;
  }
  return filled;
}

}  // namespace paddock::php_worker
