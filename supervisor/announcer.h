// Tells the admin of events as the config's [notify] says: by a command, a webhook or a mail, each a child
// program without rights (Notifier). A tenant that brings about a thousand events a minute makes no thousand
// mails.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "accounting/event.h"
#include "policies/config.h"
#include "supervisor/notifier.h"

namespace paddock::supervisor {

// How often it may be told of what: of each kind and tenant once in a while, and of all together so many an
// hour.
class AnnouncementLimit {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kRemembered = 10'000;  // kinds and tenants; beyond, nothing of others is told

  void set(std::chrono::seconds every, std::uint32_t most_per_hour);
  // How many of its kind and tenant were not told before this one; absent: neither is this one.
  [[nodiscard]] std::optional<std::uint64_t> pass(accounting::EventKind kind, const std::string &tenant,
                                                  Clock::time_point now = Clock::now());

 private:
  struct Told {
    Clock::time_point at;
    std::uint64_t since = 0;  // not told
  };

  std::chrono::seconds every_{0};
  std::uint32_t most_per_hour_ = 0;
  std::map<std::pair<accounting::EventKind, std::string>, Told> told_;
  std::deque<Clock::time_point> last_hour_;
};

class Announcer {
 public:
  explicit Announcer(boost::asio::io_context &io) : notifier_(io) {}

  void set(const policies::Config &config);
  void happened(const accounting::Event &event);

 private:
  void send(const accounting::Event &event, std::uint64_t untold);

  Notifier notifier_;
  AnnouncementLimit limit_;
  policies::Notify notify_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
};

}  // namespace paddock::supervisor
