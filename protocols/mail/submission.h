// Sandbox -> mail broker: one message. Over a MessageSocket, a connection each, to a socket that is in one
// sandbox's view alone: who writes is known by where it arrives.
//
//   Begin, Part..., End   from the sendmail of the view
//   Answer                from the broker, at any time; then it closes
//
// All of it but the Answer is hostile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace paddock::mail {

// Where the view shows the socket, and the program that speaks to it.
inline constexpr const char *kSocketInView = "/run/paddock/mail";
inline constexpr const char *kProgramInView = "/run/paddock/sendmail";
// Where programs look for a sendmail; covered where the host has one.
inline constexpr const char *kSendmail = "/usr/sbin/sendmail";

struct Begin {
  static constexpr std::uint8_t kType = 1;
  bool from_headers = false;  // -t: To, Cc and Bcc name recipients too
  std::string sender;         // -f; empty: the account
  std::vector<std::string> recipients;

  template <typename Io>
  void fields(Io &io) {
    io(from_headers);
    io(sender);
    io(recipients);
  }
};

// The next bytes of the message.
struct Part {
  static constexpr std::uint8_t kType = 2;
  static constexpr std::size_t kMost = 32 * 1024;
  std::string bytes;

  template <typename Io>
  void fields(Io &io) {
    io(bytes);
  }
};

struct End {
  static constexpr std::uint8_t kType = 3;

  template <typename Io>
  void fields(Io & /*io*/) {}
};

// What came of it. PHP takes EX_TEMPFAIL for success, since a queue would try again; nobody here would.
enum class Status : std::uint8_t {
  kSent = 0,
  kUsage = 64,    // EX_USAGE
  kData = 65,     // EX_DATAERR: the message is none, or has no recipient
  kRefused = 69,  // EX_UNAVAILABLE: a limit, or the MTA
};

struct Answer {
  static constexpr std::uint8_t kType = 16;
  Status status = Status::kRefused;
  std::string text;  // for the tenant; empty where it was sent

  template <typename Io>
  void fields(Io &io) {
    io(status);
    io(text);
  }
};

}  // namespace paddock::mail
