// The durable log of events, in history.db.
//
// A tenant can bring about an OOM kill as often as it likes, and each durable event costs an fsync(2) while
// everybody waits: of one kind and tenant, kFloodBurst are kept in a row, then one each kFloodInterval; how
// many came between is said by the next one.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "accounting/event.h"
#include "accounting/store.h"

namespace paddock::accounting {

struct EventRetention {
  // Beyond so many in all, and of one tenant, the oldest go that tenants can cause themselves: nobody can
  // push out what others, or the admin, did.
  std::uint64_t count = 100'000;
  std::uint64_t per_tenant = 5'000;
  std::chrono::hours age = std::chrono::days(365);
};

struct EventFilter {
  std::uint64_t after_id = 0;  // only larger ids: to follow, pass the last one seen
  std::optional<Time> since;
  std::optional<Time> until;
  std::optional<std::vector<std::string>> tenants;  // only theirs; "": the host's
  std::vector<EventKind> kinds;                     // none: all
  std::size_t limit = 1000;
  bool newest = false;  // of more than `limit`, the last ones instead of the first
};

// Events that match, by id. Kinds that a later Paddock wrote are left out. For a read-only connection as
// well.
[[nodiscard]] Result<std::vector<Event>> read_events(Database &database, const EventFilter &filter);

class EventLog {
 public:
  static constexpr std::uint32_t kFloodBurst = 20;
  static constexpr std::chrono::milliseconds kFloodInterval = std::chrono::minutes(1);
  static constexpr std::size_t kMaxPending = 4096;

  // `store` outlives it.
  EventLog(Store &store, const EventRetention &retention) : store_(store), retention_(retention) {}

  enum class Outcome : std::uint8_t {
    kWritten,     // on disk: survives the machine's death
    kPending,     // of a kind that is not durable: in memory until the next flush()
    kSuppressed,  // one of a flood, counted only
  };
  // Adds an event; its id is given when it is written. Error: a durable one is not on disk; it is kept in
  // memory and written as soon as that can be done. When memory is full as well (kMaxPending), starts and
  // stops go first; how many went is an event of its own.
  Result<Outcome> append(Event event);

  // Writes what is pending. For a timer of some seconds, and before the program ends.
  Result<void> flush(Time now);
  // Removes events past their retention, at most 10,000 a call. For a timer of a minute.
  Result<void> prune(Time now);
  void set_retention(const EventRetention &retention) { retention_ = retention; }

  // Writes what is pending, if that can be done, then reads.
  [[nodiscard]] Result<std::vector<Event>> list(const EventFilter &filter, Time now);

  // Grows with each event that was written: a follower that has read all up to it need not ask again.
  [[nodiscard]] std::uint64_t last_id() const { return last_id_; }

 private:
  // A token bucket: each event that is kept takes one, each interval gives one back.
  struct Flood {
    std::uint32_t taken = 0;
    Time since;  // when `taken` was true
    std::uint64_t suppressed = 0;
  };
  static void refill(Flood &flood, Time now);

  bool is_flood(Event &event);
  void enqueue(Event event);
  Result<void> write_pending(Database &database, Time now, bool wait);
  Result<void> remove_excess(Database &database, Time now);

  Store &store_;
  EventRetention retention_;
  std::deque<Event> pending_;
  std::uint64_t lost_ = 0;
  std::map<std::pair<std::string, EventKind>, Flood> floods_;
  std::set<std::string> grown_;  // tenants with new events since the last prune()
  std::uint64_t last_id_ = 0;
};

}  // namespace paddock::accounting
