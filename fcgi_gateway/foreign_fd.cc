#include "fcgi_gateway/foreign_fd.h"

#include <sys/socket.h>

namespace paddock::fcgi_gateway {

bool is_unix_stream(BorrowedFd fd) {
  const auto option = [fd](int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd.get(), SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  if (option(SO_DOMAIN) == AF_UNIX && option(SO_TYPE) == SOCK_STREAM) return true;
  const linger none{0, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  return false;
}

}  // namespace paddock::fcgi_gateway
