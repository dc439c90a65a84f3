// The memory of one sandbox's opcache: files that the supervisor makes, the keeper fills and the workers map.
//
// They are made here, and not taken from the sandbox, so that no descriptor that a tenant might have chosen
// is ever held or closed by root. Nothing here reads them. What they hold is charged to the cgroup of whoever
// touched it first, which is the tenant's (cgroup-v2.rst, "Memory Ownership").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::supervisor {

struct OpcacheFiles {
  std::uint64_t zygote = 0;     // Zygote::instance() of the one whose sandboxes can map them
  std::vector<UniqueFd> files;  // one for each of its regions; memfds that can neither shrink nor grow

  // Empty ones (memfd_create(2), fcntl(2) F_ADD_SEALS).
  [[nodiscard]] static Result<OpcacheFiles> make(std::uint64_t zygote,
                                                 const std::vector<std::uint64_t> &sizes);
  // Others for the same memory.
  [[nodiscard]] Result<std::vector<UniqueFd>> duplicate() const;
  // Bytes in memory or swap.
  [[nodiscard]] std::uint64_t held() const;
};

}  // namespace paddock::supervisor
