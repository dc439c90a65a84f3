#include "base/message_socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace paddock {

Result<std::pair<MessageSocket, MessageSocket>> MessageSocket::pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno_error("socketpair");
  return std::pair(MessageSocket(UniqueFd(ends[0])), MessageSocket(UniqueFd(ends[1])));
}

Result<void> MessageSocket::send_bytes(std::span<const std::uint8_t> packet,
                                       std::span<const BorrowedFd> fds) const {
  if (packet.size() > wire::kMaxMessage) return errno_error("send message", EMSGSIZE);
  if (fds.size() > kMaxFds) return errno_error("send message with descriptors", ETOOMANYREFS);

  iovec data{const_cast<std::uint8_t *>(packet.data()), packet.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno_error("send message");
  return {};
}

Result<std::optional<Packet>> MessageSocket::receive() const {
  Packet packet;
  packet.bytes.resize(wire::kMaxMessage);
  iovec data{packet.bytes.data(), packet.bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t received = 0;
  do {
    received = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return errno_error("receive message");

  for (cmsghdr *part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if (received == 0) return std::optional<Packet>{};
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return errno_error("receive message: cut off in transit", EBADMSG);
  packet.bytes.resize(static_cast<std::size_t>(received));
  if (auto header = wire::decode_header(packet.bytes); !header)
    return errno_error(header.error().attempt, EBADMSG);
  return std::optional<Packet>(std::move(packet));
}

bool MessageSocket::next_has_one_fd() const {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  // Without the padding, in which the kernel would put a second one.
  message.msg_controllen = CMSG_LEN(sizeof(int));
  if (::recvmsg(fd_.get(), &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) return false;
  const cmsghdr *part = CMSG_FIRSTHDR(&message);
  if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) return false;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
  const UniqueFd duplicate(fd);
  return (message.msg_flags & MSG_CTRUNC) == 0;
}

Result<void> MessageSocket::set_nonblocking(bool on) const {
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  if (flags < 0) return errno_error("fcntl(F_GETFL)");
  if (::fcntl(fd_.get(), F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
    return errno_error("fcntl(F_SETFL)");
  return {};
}

}  // namespace paddock
