// The gateway's end of the link to the supervisor: never blocks, and never loses a message where its buffer
// is full.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "base/event_loop.h"
#include "base/message_socket.h"

namespace paddock::fcgi_gateway {

class SupervisorLink {
 public:
  using Receiver = std::function<Result<void>(Packet packet)>;
  // Once, when the link is over: with a value where the supervisor has closed it (or died), with an error
  // where a message was malformed or the receiver returned that error.
  using Ending = std::function<void(Result<void> how)>;

  SupervisorLink(EventLoop &loop, MessageSocket socket) : loop_(loop), socket_(std::move(socket)) {}
  ~SupervisorLink();
  SupervisorLink(const SupervisorLink &) = delete;
  SupervisorLink &operator=(const SupervisorLink &) = delete;

  Result<void> start(Receiver receiver, Ending ending);

  // At once, or as soon as the supervisor reads again. The caller bounds what it sends (see idle()).
  template <typename Message>
  void send(const Message &message) {
    enqueue(wire::encode(message));
  }
  // All that was sent has left.
  [[nodiscard]] bool idle() const { return unsent_.empty(); }

 private:
  void enqueue(std::vector<std::uint8_t> packet);
  void flush();
  void receive();
  void end(Result<void> how);

  EventLoop &loop_;
  MessageSocket socket_;
  Receiver receiver_;
  Ending ending_;
  std::deque<std::vector<std::uint8_t>> unsent_;
  bool over_ = false;
};

}  // namespace paddock::fcgi_gateway
