#include "supervisor/listening_socket.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "base/file.h"

namespace paddock::supervisor {
namespace {
constexpr char kBoundName[] = "new";
}  // namespace

Result<void> prepare_socket_directory(const std::string &directory, gid_t apache_gid,
                                      const std::set<std::string> &keep) {
  PADDOCK_CHECK(make_directories(directory, 0755));
  PADDOCK_TRY(const UniqueFd fd, open_file(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::fchown(fd.get(), 0, apache_gid) != 0) return errno_error("chown " + directory);
  if (::fchmod(fd.get(), 0710) != 0) return errno_error("chmod " + directory);

  const std::unique_ptr<DIR, int (*)(DIR *)> entries(::opendir(directory.c_str()), &::closedir);
  if (!entries) return errno_error("open " + directory);
  while (const dirent *entry = ::readdir(entries.get())) {
    if (keep.contains(entry->d_name)) continue;
    struct stat status {};
    if (::fstatat(fd.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode))
      ::unlinkat(fd.get(), entry->d_name, 0);
  }
  return {};
}

bool still_listens(BorrowedFd socket) {
  int listens = 0;
  socklen_t length = sizeof listens;
  pollfd entry{socket.get(), 0, 0};  // POLLHUP comes unasked
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0 &&
         ::poll(&entry, 1, 0) == 0;
}

namespace {

// What listen_at() and bind_datagrams() say of the file.
Result<UniqueFd> bind_at(const std::string &path, gid_t apache_gid, int type) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return errno_error("bind " + path, ENAMETOOLONG);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return errno_error("bind " + path, EINVAL);
  const std::string name = path.substr(slash + 1);
  PADDOCK_TRY(const UniqueFd before, open_file(".", O_PATH | O_DIRECTORY));
  PADDOCK_TRY(const UniqueFd directory, open_file(path.substr(0, slash), O_PATH | O_DIRECTORY));

  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error("make a socket for " + path);
  // /proc/net/unix shows every process of a network namespace the path that was given to bind(2), for good.
  // So that is not the unguessable name: the socket is bound as "new" and renamed.
  if (::fchdir(directory.get()) != 0) return errno_error("enter the directory of " + path);
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, kBoundName, sizeof kBoundName);
  // The socket's file takes its mode from the umask alone (unix(7)); nobody may connect before the owner is
  // set.
  const mode_t old = ::umask(0777);
  const auto try_bind = [&] {
    return ::bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address);
  };
  int bound = try_bind();
  // One who was killed before the renaming has left it.
  if (bound != 0 && errno == EADDRINUSE && ::unlink(kBoundName) == 0) bound = try_bind();
  const int code = errno;
  ::umask(old);
  if (::fchdir(before.get()) != 0) return errno_error("return to the working directory");
  if (bound != 0) return errno_error("bind " + path, code);
  // Before it has its name: who finds it can connect.
  if ((type == SOCK_STREAM || type == SOCK_SEQPACKET) && ::listen(fd.get(), kBacklog) != 0)
    return errno_error("listen at " + path);
  if (::fchownat(directory.get(), kBoundName, 0, apache_gid, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_error("chown " + path);
  if (::fchmodat(directory.get(), kBoundName, 0660, 0) != 0) return errno_error("chmod " + path);
  if (::renameat(directory.get(), kBoundName, directory.get(), name.c_str()) != 0)
    return errno_error("name the socket " + path);
  return fd;
}

}  // namespace

Result<UniqueFd> listen_at(const std::string &path, gid_t apache_gid, int type) {
  return bind_at(path, apache_gid, type);
}

Result<UniqueFd> bind_datagrams(const std::string &path, gid_t apache_gid) {
  return bind_at(path, apache_gid, SOCK_DGRAM | SOCK_NONBLOCK);
}

}  // namespace paddock::supervisor
