// Every tenant's use over time and in all, in memory and, within 10 s, in history.db.
//
// Each flush adds what has come since the last to the rows of its minute, hour and day (UTC) and to the
// totals, in one transaction: the sums of all four always agree. What cannot be written stays in memory, and
// is written once it can.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "accounting/counters.h"
#include "accounting/meter.h"
#include "accounting/store.h"

namespace paddock::accounting {

struct Retention {
  std::chrono::hours minutes{48};
  std::chrono::hours hours = std::chrono::days(60);
  std::chrono::hours days = std::chrono::days(5 * 365);
};

// Minutes that can wait for a disk that takes nothing, per tenant; beyond, the oldest are merged: their sum
// stays, their times blur.
inline constexpr std::size_t kMaxPendingMinutes = 120;

class History {
 public:
  static constexpr std::chrono::milliseconds kFlushInterval = std::chrono::seconds(10);

  // `store` outlives it.
  History(Store &store, const Retention &retention) : store_(store), retention_(retention) {}

  // Reads the totals and marks that the file holds. Where that fails, totals count from 0 for now, and what
  // the file holds is added as soon as it can be read.
  Result<void> load(Time now);

  // What a tenant used up to `at`, with the meter's mark (Meter::take(), Meter::mark()). No system call.
  void record(const std::string &tenant, Time at, const Usage &increment, const Mark &mark = {});

  // All there is of a tenant, as yet unwritten use included. Unknown ones: all 0.
  [[nodiscard]] Usage lifetime(const std::string &tenant) const;
  [[nodiscard]] Mark mark(const std::string &tenant) const;
  [[nodiscard]] bool knows(const std::string &tenant) const { return accounts_.contains(tenant); }

  // For a timer: flushes when kFlushInterval has passed since the last attempt, and once a minute prunes.
  Result<void> tick(Time now);
  // Writes all that is new. Survives the death of this process from then on; a crash of the machine may cost
  // what was written since the last checkpoint (some MiB of log), never the file's soundness. Error: nothing
  // was written, all is kept.
  Result<void> flush(Time now);
  // Removes what is past its retention, at most ten periods of each kind a call: after a long pause, or with
  // a shorter retention, the caller is not held up until all of it is gone.
  Result<void> prune(Time now);
  void set_retention(const Retention &retention) { retention_ = retention; }

 private:
  struct Account {
    std::int64_t id = 0;  // in the open file; 0: not known to be there
    Usage lifetime;
    Usage unsaved;  // of lifetime, what the file's totals lack
    Mark mark;
    bool mark_unsaved = false;
    bool dirty = false;
    std::map<Time, Usage> minutes;  // not yet in the file, by their begin
  };

  Result<void> read_totals(Database &database);
  Result<void> write_all(Database &database, std::vector<Account *> &named);
  Result<void> write(Database &database, Account &account);
  Result<void> prune_table(Database &database, const char *table, std::chrono::seconds period, Time cutoff);

  Store &store_;
  Retention retention_;
  std::unordered_map<std::string, Account> accounts_;
  std::vector<std::pair<const std::string *, Account *>> dirty_;
  std::uint64_t generation_ = 0;  // of the store, whose totals are in accounts_
  Time flushed_at_{};
  Time pruned_at_{};
};

}  // namespace paddock::accounting
