#include "protocols/control/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace paddock::control {
namespace {

constexpr std::size_t kReplyLimit = 256 << 20;  // far above the status of 100,000 tenants

Result<void> set_patience(BorrowedFd fd, std::chrono::seconds patience) {
  timeval time{};
  time.tv_sec = patience.count();
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    if (::setsockopt(fd.get(), SOL_SOCKET, option, &time, sizeof time) != 0)
      return errno_error("set socket timeout");
  return {};
}

}  // namespace

Result<Client> Client::connect(const std::string &path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return errno_error("connect to " + path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error("make a socket");
  // unix(7): connect() waits while the backlog is full; the send timeout bounds it.
  PADDOCK_CHECK(set_patience(fd, std::chrono::seconds(10)));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
    return errno_error("connect to " + path);
  return Client(std::move(fd));
}

Result<Reply> Client::ask(const Request &request, std::chrono::seconds patience) {
  PADDOCK_CHECK(set_patience(fd_, patience));
  const std::string line = to_json(request) + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t count = ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error("send the request");
    sent += static_cast<std::size_t>(count);
  }
  PADDOCK_TRY(const std::string answer, read_line());
  return parse_reply(answer);
}

Result<Reply> Client::next() {
  PADDOCK_CHECK(set_patience(fd_, std::chrono::seconds(0)));
  PADDOCK_TRY(const std::string answer, read_line());
  return parse_reply(answer);
}

Result<std::string> Client::read_line() {
  std::array<char, 64 * 1024> buffer;
  std::size_t searched = 0;
  for (;;) {
    if (const std::size_t end = input_.find('\n', searched); end != std::string::npos) {
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      return line;
    }
    searched = input_.size();
    if (searched > kReplyLimit) return errno_error("read the answer", EMSGSIZE);
    const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error("read the answer");
    if (count == 0) return errno_error("read the answer", ECONNRESET);
    input_.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace paddock::control
