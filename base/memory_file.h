// Memory that processes share by descriptor.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock {

// A memfd of `size` zero bytes that nobody can make shorter or longer (memfd_create(2); F_SEAL_SHRINK,
// F_SEAL_GROW and F_SEAL_SEAL, fcntl(2)): whoever truncated it would raise SIGBUS in those who map it.
// `what`, for errors.
[[nodiscard]] Result<UniqueFd> create_memory_file(const std::string &name, std::uint64_t size,
                                                  const std::string &what);

}  // namespace paddock
