#include "fcgi_gateway/leaving_sandboxes.h"

#include <sys/epoll.h>

#include <cerrno>

namespace paddock::fcgi_gateway {
namespace {

constexpr int kMessagesPerTurn = 64;
// In all: what ends has a handful of workers, each with a client or two. More is a flood.
constexpr unsigned kMostMessages = 10'000;

}  // namespace

LeavingSandboxes::~LeavingSandboxes() {
  for (const Leaving &leaving : leaving_) loop_.unwatch(leaving.handoff.fd());
}

void LeavingSandboxes::add(MessageSocket handoff, LedgerEntry entry) {
  const At at = leaving_.insert(leaving_.end(), {std::move(handoff), std::move(entry)});
  if (!loop_.watch(at->handoff.fd(), EPOLLIN, [this, at](std::uint32_t) { receive(at); })) leaving_.erase(at);
}

void LeavingSandboxes::receive(At at) {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto packet = at->handoff.receive();
    if (!packet && packet.error().code == EAGAIN) return;
    if (packet && packet->has_value() && ++at->messages <= kMostMessages && callback_(**packet)) continue;
    loop_.unwatch(at->handoff.fd());
    leaving_.erase(at);
    return;
  }
}

}  // namespace paddock::fcgi_gateway
