// The copies of /etc that the base view holds.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::sandbox {

// Copies kEtcFiles (etc_copy.cc) and `more`, names below /etc, into the directory `etc`. Missing ones are
// skipped, and so is what others cannot read or search: private keys, password files. A symbolic link to
// something in /usr stays a link; any other becomes what it points to. Errors: a read or write that fails, a
// file beyond 4 MiB.
Result<void> copy_etc(BorrowedFd etc, const std::vector<std::string> &more);

}  // namespace paddock::sandbox
