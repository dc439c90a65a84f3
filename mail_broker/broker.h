// The mail broker's loop: accepts at the sandboxes' sockets, has each message judged, asks the supervisor to
// hand it to the MTA, and tells the sandbox what came of it.
#pragma once

#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/message_socket.h"
#include "mail_broker/submission.h"
#include "protocols/mail/mail_link.h"

namespace paddock::mail_broker {

struct BrokerOptions {
  UniqueFd spool;  // a directory for messages; invalid: in memory
  // At once. What is more waits in the kernel's backlog of its own tenant's socket.
  std::size_t connections = 256;
  std::size_t connections_per_tenant = 8;
  std::uint64_t spool_bytes = 2ULL << 30;       // of all messages that are not with the MTA yet
  std::chrono::milliseconds silence{30'000};    // a sender that sends nothing for so long is let go
  std::chrono::milliseconds patience{300'000};  // for a whole message
};

class Broker {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Broker>> create(MessageSocket link, BrokerOptions options);
  ~Broker();
  Broker(const Broker &) = delete;
  Broker &operator=(const Broker &) = delete;

  // Until the supervisor closes the link (then no error), or sends what is no message.
  Result<void> run();

 private:
  struct Tenant {
    std::string name;
    uid_t uid = 0;
    Terms terms;
    UniqueFd listener;  // invalid: its sandbox has ended
    std::size_t connections = 0;
    bool accepting = false;
  };
  struct Connection {
    std::uint32_t tenant = 0;
    MessageSocket socket;
    std::optional<Submission> submission;
    std::uint64_t delivery = 0;  // not 0: the supervisor has it
    EventLoop::TimerId silence = 0;
    EventLoop::TimerId patience = 0;
  };
  using Place = std::list<Connection>::iterator;

  Broker(EventLoop loop, MessageSocket link, BrokerOptions options);
  void read_link();
  Result<void> take(Packet packet);
  Result<void> open(const mail_link::OpenTenant &message, UniqueFd listener);
  void close_listener(Tenant &tenant);
  void delivered(const mail_link::Delivered &message);
  void accept_where_there_is_room();
  void accept_from(std::uint32_t number, Tenant &tenant);
  void add(std::uint32_t number, Tenant &tenant, UniqueFd socket);
  void read(Place place);
  void deliver(Place place);
  void answer(Place place, mail::Status status, const std::string &text);
  void refuse(Place place, const Submission::Refusal &refusal);
  void drop(Place place);
  template <typename Message>
  void tell(const Message &message, std::span<const BorrowedFd> fds = {});
  [[nodiscard]] Result<UniqueFd> new_file() const;

  EventLoop loop_;
  MessageSocket link_;
  BrokerOptions options_;
  std::map<std::uint32_t, Tenant> tenants_;
  std::list<Connection> connections_;
  std::uint64_t spooled_ = 0;
  std::uint64_t next_delivery_ = 1;
  std::optional<Result<void>> ended_;
};

}  // namespace paddock::mail_broker
