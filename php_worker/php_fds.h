// The descriptors that PHP's modules hold: found by comparing, since modules do not tell.
#pragma once

#include <vector>

namespace paddock::php_worker {

// This process's descriptors (/proc/self/fd).
[[nodiscard]] std::vector<int> open_fds();
// Those that are open now and not in `before`.
[[nodiscard]] std::vector<int> opened_since(const std::vector<int> &before);

}  // namespace paddock::php_worker
