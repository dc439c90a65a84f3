// One of the supervisor's ends of a MessageSocket, in its Asio loop: packets come in by call-back, messages
// go out without ever blocking.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/message_socket.h"

namespace paddock::supervisor {

class Link : public std::enable_shared_from_this<Link> {
 public:
  using OnPacket = std::function<void(Packet &)>;
  // The peer closed, or sent what is no message, or does not read. Called once; the link is dead then.
  using OnClosed = std::function<void(const Error &)>;

  // A peer that leaves so many messages unread is taken for hung.
  static constexpr std::size_t kMaxQueued = 65'536;

  [[nodiscard]] static std::shared_ptr<Link> start(boost::asio::io_context &io, MessageSocket socket,
                                                   OnPacket on_packet, OnClosed on_closed);
  ~Link();
  Link(const Link &) = delete;
  Link &operator=(const Link &) = delete;

  // Sends, or queues when the socket is full (descriptors are duplicated then).
  template <typename Message>
  void send(const Message &message, std::span<const BorrowedFd> fds = {}) {
    send_bytes(wire::encode(message), fds);
  }
  // No call-back comes after this.
  void close();

 private:
  struct Queued {
    std::vector<std::uint8_t> bytes;
    std::vector<UniqueFd> fds;
  };

  Link(boost::asio::io_context &io, MessageSocket socket, OnPacket on_packet, OnClosed on_closed);
  void send_bytes(std::vector<std::uint8_t> bytes, std::span<const BorrowedFd> fds);
  void wait_readable();
  void wait_writable();
  void drain_queue();
  void fail(const Error &error);

  MessageSocket socket_;
  boost::asio::posix::stream_descriptor descriptor_;
  OnPacket on_packet_;
  OnClosed on_closed_;
  std::deque<Queued> queue_;
  bool open_ = true;
};

}  // namespace paddock::supervisor
