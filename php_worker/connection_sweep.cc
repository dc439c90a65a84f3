#include "php_worker/connection_sweep.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace paddock::php_worker {
namespace {

struct CloseDirectory {
  void operator()(DIR *directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

std::vector<int> numbers_in(DIR *directory) {
  std::vector<int> numbers;
  while (const dirent *entry = ::readdir(directory)) {
    const std::string_view name(entry->d_name);
    int number = 0;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (failure == std::errc() && end == name.data() + name.size()) numbers.push_back(number);
  }
  return numbers;
}

std::string own_name(BorrowedFd socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr *>(&address), &size) != 0 ||
      address.sun_family != AF_UNIX)
    return {};
  return {reinterpret_cast<const char *>(&address), size};
}

bool is_socket(pid_t pid, int fd) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
  char target[16];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  return size > 0 && std::string_view(target, static_cast<std::size_t>(size)).starts_with("socket:[");
}

// The inode, where the socket is a connection that was accepted from the one of that name: it has the same.
std::optional<std::uint64_t> accepted_inode(BorrowedFd socket, const std::string &name) {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening != 0)
    return std::nullopt;
  struct stat status {};
  if (own_name(socket) != name || ::fstat(socket.get(), &status) != 0) return std::nullopt;
  return status.st_ino;
}

}  // namespace

std::vector<pid_t> sweep_connections(BorrowedFd listen,
                                     const std::function<bool(const HeldConnection &)> &end) {
  std::vector<pid_t> opaque;
  const std::string name = own_name(listen);
  const Directory processes(::opendir("/proc"));
  if (name.empty() || !processes) return opaque;
  for (const pid_t pid : numbers_in(processes.get())) {
    if (pid == ::getpid()) continue;
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const Directory fds(::opendir(("/proc/" + std::to_string(pid) + "/fd").c_str()));
    if (!fds && (errno == EACCES || errno == EPERM)) opaque.push_back(pid);
    if (!fds || !pidfd.valid()) continue;
    for (const int fd : numbers_in(fds.get())) {
      if (!is_socket(pid, fd)) continue;
      const UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0)));
      if (!copy.valid()) {
        if (errno == EPERM && (opaque.empty() || opaque.back() != pid)) opaque.push_back(pid);
        continue;
      }
      const auto inode = accepted_inode(copy, name);
      if (inode && end({pid, *inode})) ::shutdown(copy.get(), SHUT_RDWR);
    }
  }
  return opaque;
}

}  // namespace paddock::php_worker
