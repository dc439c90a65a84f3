// Whole-file reads and writes beneath a directory descriptor or a path.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock {

// openat(2) with O_CLOEXEC added. The error names the path.
[[nodiscard]] Result<UniqueFd> open_at(BorrowedFd directory, const std::string &path, int flags,
                                       mode_t mode = 0);
// The same for an absolute path, or one below the working directory.
[[nodiscard]] Result<UniqueFd> open_file(const std::string &path, int flags, mode_t mode = 0);

// All of a file, at most `limit` bytes: a longer one is EFBIG. Works on /proc and cgroup files, whose size is
// 0.
[[nodiscard]] Result<std::string> read_at(BorrowedFd directory, const std::string &path,
                                          std::size_t limit = 1 << 20);
[[nodiscard]] Result<std::string> read_file(const std::string &path, std::size_t limit = 1 << 20);
[[nodiscard]] Result<std::string> read_all(BorrowedFd fd, std::size_t limit = 1 << 20);

// All bytes, however many calls it takes.
Result<void> write_all(BorrowedFd fd, std::string_view bytes);
// One open(O_WRONLY), one write(): the way kernel files want their values. The file must exist.
Result<void> write_value_at(BorrowedFd directory, const std::string &path, std::string_view value);
// Replaces a file: temporary beside it, fsync, rename, fsync of the directory. The name never shows half a
// file, and once this has returned, the new one survives a crash of the machine.
Result<void> replace_file(const std::string &path, std::string_view bytes, mode_t mode);

// mkdir -p: every missing directory with `mode`; those that exist stay as they are.
Result<void> make_directories(const std::string &path, mode_t mode);

}  // namespace paddock
