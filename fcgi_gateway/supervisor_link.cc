#include "fcgi_gateway/supervisor_link.h"

#include <sys/epoll.h>

#include <cerrno>

namespace paddock::fcgi_gateway {
namespace {

// A supervisor that registers ten thousand tenants must not keep the sockets of the first from being served.
constexpr int kMessagesPerTurn = 64;

bool is_peer_gone(const Error &error) {
  return error.code == EPIPE || error.code == ECONNRESET;
}

}  // namespace

SupervisorLink::~SupervisorLink() {
  end({});
}

Result<void> SupervisorLink::start(Receiver receiver, Ending ending) {
  receiver_ = std::move(receiver);
  PADDOCK_CHECK(socket_.set_nonblocking(true));
  PADDOCK_CHECK(loop_.watch(socket_.fd(), EPOLLIN, [this](std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) flush();
    if (!over_ && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive();
  }));
  ending_ = std::move(ending);
  return {};
}

void SupervisorLink::enqueue(std::vector<std::uint8_t> packet) {
  if (over_) return;
  unsent_.push_back(std::move(packet));
  if (unsent_.size() == 1) flush();
}

void SupervisorLink::flush() {
  while (!unsent_.empty()) {
    const auto sent = socket_.send_bytes(unsent_.front());
    if (!sent && sent.error().code == EAGAIN) {
      if (const auto changed = loop_.change(socket_.fd(), EPOLLIN | EPOLLOUT); !changed) end(changed.error());
      return;
    }
    if (!sent) return end(is_peer_gone(sent.error()) ? Result<void>() : sent.error());
    unsent_.pop_front();
  }
  if (const auto changed = loop_.change(socket_.fd(), EPOLLIN); !changed) end(changed.error());
}

void SupervisorLink::receive() {
  for (int i = 0; i < kMessagesPerTurn && !over_; ++i) {
    auto packet = socket_.receive();
    if (!packet && packet.error().code == EAGAIN) return;
    if (!packet) return end(is_peer_gone(packet.error()) ? Result<void>() : packet.error());
    if (!packet->has_value()) return end({});
    if (const auto taken = receiver_(std::move(**packet)); !taken) return end(taken.error());
  }
}

void SupervisorLink::end(Result<void> how) {
  if (over_) return;
  over_ = true;
  unsent_.clear();
  loop_.unwatch(socket_.fd());
  if (ending_) ending_(std::move(how));
}

}  // namespace paddock::fcgi_gateway
