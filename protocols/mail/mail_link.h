// Supervisor <-> mail broker: whose socket is whose, and what is to be handed to the MTA. Over a
// MessageSocket.
//
// The broker reads what tenants send; the supervisor counts and runs the MTA, and reads nothing of a message.
// After a restart of the broker the supervisor sends all of it again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace paddock::mail_link {

// Supervisor to broker, one descriptor: the listening socket that one sandbox's view shows. For a tenant that
// is known already: what holds from now on.
struct OpenTenant {
  static constexpr std::uint8_t kType = 1;
  std::uint32_t tenant = 0;  // the supervisor's number for it, never reused while the broker runs
  std::string name;
  std::uint32_t uid = 0;  // whoever connects has it
  std::uint64_t message_bytes = 0;
  std::uint32_t recipients = 0;  // of one message
  bool any_sender = true;        // the envelope's sender is what -f says; false: the account

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(name);
    io(uid);
    io(message_bytes);
    io(recipients);
    io(any_sender);
  }
};

// Its sandbox has ended. Messages that are complete are still handed on.
struct CloseTenant {
  static constexpr std::uint8_t kType = 2;
  std::uint32_t tenant = 0;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
  }
};

// The answer to Deliver.
struct Delivered {
  static constexpr std::uint8_t kType = 3;
  std::uint64_t delivery = 0;
  bool sent = false;
  std::string text;  // why not, for the tenant

  template <typename Io>
  void fields(Io &io) {
    io(delivery);
    io(sent);
    io(text);
  }
};

// Broker to supervisor.
struct Hello {
  static constexpr std::uint8_t kType = 16;
  std::uint32_t pid = 0;

  template <typename Io>
  void fields(Io &io) {
    io(pid);
  }
};

// A whole message; one descriptor: the file, at its beginning. The addresses are mail::is_plain_address(),
// which the supervisor does not take the broker's word for.
struct Deliver {
  static constexpr std::uint8_t kType = 17;
  static constexpr std::size_t kMostRecipients = 200;
  std::uint64_t delivery = 0;
  std::uint32_t tenant = 0;
  std::string sender;  // empty: the account
  std::vector<std::string> recipients;

  template <typename Io>
  void fields(Io &io) {
    io(delivery);
    io(tenant);
    io(sender);
    io(recipients);
  }
};

// Messages that the broker itself has refused.
struct Refused {
  static constexpr std::uint8_t kType = 18;
  std::uint32_t tenant = 0;
  std::string reason;  // of Paddock's own making

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(reason);
  }
};

}  // namespace paddock::mail_link
