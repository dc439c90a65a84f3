// A SOCK_SEQPACKET Unix socket that carries wire messages and file descriptors between Paddock's programs.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/wire.h"

namespace paddock {

// A received message: still encoded, with the descriptors that came along (each CLOEXEC, now ours).
struct Packet {
  std::vector<std::uint8_t> bytes;
  std::vector<UniqueFd> fds;

  [[nodiscard]] std::uint8_t type() const { return bytes.size() < wire::kHeaderSize ? 0 : bytes[3]; }
  template <typename Message>
  [[nodiscard]] Result<Message> as() const {
    return wire::decode<Message>(bytes);
  }
};

class MessageSocket {
 public:
  // What one message may carry; more is an error of the receiver (MSG_CTRUNC). The kernel's own limit is 253
  // (SCM_MAX_FD, unix(7)).
  static constexpr std::size_t kMaxFds = 200;

  MessageSocket() = default;
  explicit MessageSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  // Two connected ends (socketpair(2), SOCK_SEQPACKET|SOCK_CLOEXEC).
  [[nodiscard]] static Result<std::pair<MessageSocket, MessageSocket>> pair();

  // Sends one message, and duplicates of fds with it (SCM_RIGHTS, unix(7)). Blocks while the buffer is full
  // unless the socket is non-blocking (then EAGAIN). Never raises SIGPIPE; a peer that has gone is EPIPE or
  // ECONNRESET.
  template <typename Message>
  Result<void> send(const Message &message, std::span<const BorrowedFd> fds = {}) const {
    return send_bytes(wire::encode(message), fds);
  }
  Result<void> send_bytes(std::span<const std::uint8_t> packet, std::span<const BorrowedFd> fds = {}) const;

  // The next message. nullopt: the peer has closed. EAGAIN is an Error with that code on a non-blocking
  // socket. A packet with a bad header or cut off in transit is an Error with code EBADMSG.
  [[nodiscard]] Result<std::optional<Packet>> receive() const;

  // Whether a message is there that has one descriptor with it, and no more: MSG_PEEK, which duplicates it.
  [[nodiscard]] bool next_has_one_fd() const;

  Result<void> set_nonblocking(bool on) const;
  [[nodiscard]] BorrowedFd fd() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  [[nodiscard]] UniqueFd take() && { return std::move(fd_); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

}  // namespace paddock
