// A terminal of a command's own, and the bytes between it and the terminal of whoever started the command.
#pragma once

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::cli {

// The two terminals are not the same, so that what runs in there cannot read what is typed before and after,
// change the admin's settings or type into it.
class Terminal {
 public:
  // As large as the terminal of standard input.
  [[nodiscard]] static Result<Terminal> open();

  [[nodiscard]] BorrowedFd slave() const { return slave_; }
  void close_slave() { slave_.reset(); }

  // Carries bytes both ways, standard input's terminal being raw meanwhile, until the child has ended.
  Result<paddock::ExitStatus> relay(Child &child);

 private:
  UniqueFd master_;
  UniqueFd slave_;
};

}  // namespace paddock::cli
