#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace paddock {
namespace {

const BorrowedFd kWorkingDirectory(AT_FDCWD);

std::string describe(const char *verb, const std::string &path) {
  return std::string(verb) + " " + path;
}

}  // namespace

Result<UniqueFd> open_at(BorrowedFd directory, const std::string &path, int flags, mode_t mode) {
  int fd = -1;
  do {
    fd = ::openat(directory.get(), path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno_error(describe("open", path));
  return UniqueFd(fd);
}

Result<UniqueFd> open_file(const std::string &path, int flags, mode_t mode) {
  return open_at(kWorkingDirectory, path, flags, mode);
}

Result<std::string> read_all(BorrowedFd fd, std::size_t limit) {
  std::string bytes;
  std::size_t used = 0;
  for (;;) {
    if (used == bytes.size()) bytes.resize(std::max<std::size_t>(4096, 2 * used));
    const ssize_t got = ::read(fd.get(), bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error("read");
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > limit) return errno_error("read", EFBIG);
  }
  bytes.resize(used);
  return bytes;
}

Result<std::string> read_at(BorrowedFd directory, const std::string &path, std::size_t limit) {
  PADDOCK_TRY(const UniqueFd fd, open_at(directory, path, O_RDONLY));
  auto bytes = read_all(fd, limit);
  if (!bytes) return errno_error(describe("read", path), bytes.error().code);
  return bytes;
}

Result<std::string> read_file(const std::string &path, std::size_t limit) {
  return read_at(kWorkingDirectory, path, limit);
}

Result<void> write_all(BorrowedFd fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_error("write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> write_value_at(BorrowedFd directory, const std::string &path, std::string_view value) {
  PADDOCK_TRY(const UniqueFd fd, open_at(directory, path, O_WRONLY));
  const ssize_t written = ::write(fd.get(), value.data(), value.size());
  const std::string attempt = "write \"" + std::string(value) + "\" to " + path;
  if (written < 0) return errno_error(attempt);
  if (static_cast<std::size_t>(written) != value.size()) return errno_error(attempt, EIO);
  return {};
}

Result<void> replace_file(const std::string &path, std::string_view bytes, mode_t mode) {
  const std::string temporary = path + ".new";
  PADDOCK_TRY(UniqueFd fd, open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
  auto written = write_all(fd, bytes);
  if (written && ::fsync(fd.get()) != 0) written = errno_error("fsync");
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) written = errno_error("rename");
  if (!written) {
    ::unlink(temporary.c_str());
    return errno_error(describe("replace", path), written.error().code);
  }
  // The rename itself is durable only once the directory is.
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  PADDOCK_TRY(const UniqueFd parent, open_file(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(parent.get()) != 0) return errno_error(describe("fsync", directory));
  return {};
}

Result<void> make_directories(const std::string &path, mode_t mode) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return errno_error(describe("mkdir", part));
    if (end == std::string::npos) return {};
  }
}

}  // namespace paddock
