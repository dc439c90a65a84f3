// Where the bodies of slow requests wait: files without a name.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::fcgi_gateway {

class Spool {
 public:
  // In memory (memfd_create(2)).
  Spool() = default;
  // In a directory on a disk, where a long upload costs no memory that could not be reclaimed.
  explicit Spool(UniqueFd directory) : directory_(std::move(directory)) {}

  // An empty file, readable and writable, that goes with its last descriptor (O_TMPFILE, open(2)).
  [[nodiscard]] Result<UniqueFd> create() const;

 private:
  UniqueFd directory_;
};

}  // namespace paddock::fcgi_gateway
