// Sandboxes of a tenant that take nothing more and end: their workers may still give connections away
// (clients that are slow, handoff::Slow and Unread) until the last process is gone.
#pragma once

#include <functional>
#include <list>

#include "base/event_loop.h"
#include "base/message_socket.h"
#include "fcgi_gateway/ledger.h"

namespace paddock::fcgi_gateway {

class LeavingSandboxes {
 public:
  // Given each message. False: it is nonsense, and nothing more is read from there.
  using Callback = std::function<bool(Packet &packet)>;

  LeavingSandboxes(EventLoop &loop, Callback callback) : loop_(loop), callback_(std::move(callback)) {}
  ~LeavingSandboxes();
  LeavingSandboxes(const LeavingSandboxes &) = delete;
  LeavingSandboxes &operator=(const LeavingSandboxes &) = delete;

  // handoff: our end, non-blocking. It is closed when the other end is.
  void add(MessageSocket handoff, LedgerEntry entry);

 private:
  struct Leaving {
    MessageSocket handoff;
    LedgerEntry entry;
    unsigned messages = 0;
  };
  using At = std::list<Leaving>::iterator;
  void receive(At at);

  EventLoop &loop_;
  const Callback callback_;
  std::list<Leaving> leaving_;
};

}  // namespace paddock::fcgi_gateway
