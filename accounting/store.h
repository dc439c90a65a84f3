// history.db: opened when it can be, opened again after a failure, begun anew when it is damaged.
//
// Whoever uses it never has to stop because of it: what cannot be written now stays in memory and is tried
// again (History, EventLog).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "accounting/counters.h"
#include "accounting/database.h"

namespace paddock::accounting {

class Store {
 public:
  // Opens nothing yet. The directory must exist by the first use.
  explicit Store(std::string path) : path_(std::move(path)) {}

  // The open database. Opens it if it is not: migrates it, checks a small one whole (PRAGMA quick_check), and
  // moves a damaged one, or what is no regular file, to PATH.corrupt-TIME and begins a new one. After a
  // failure the next attempt is made a second later at the earliest; until then the same error returns.
  [[nodiscard]] Result<Database *> database(Time now);

  // To be told of every error that the database's use has returned. A damaged file is closed and moved aside;
  // the next database() begins a new one.
  void failed(const Error &error, Time now);

  // Changes whenever another file is open than before: what was known to be in it has to be read, or
  // written, again. 0: none was open yet.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

  // A damaged file that was moved aside, once: for the log and an event.
  struct Damage {
    Error cause;
    std::string moved_to;
  };
  [[nodiscard]] std::optional<Damage> take_damage() { return std::exchange(damage_, std::nullopt); }

  [[nodiscard]] const std::string &path() const { return path_; }

 private:
  Result<void> open(Time now);
  Result<void> open_and_check(Time now);
  Result<void> move_aside(Error cause, Time now);

  std::string path_;
  std::optional<Database> database_;
  std::uint64_t generation_ = 0;
  std::optional<Damage> damage_;
  std::optional<Error> last_error_;
  Time retry_at_{};
  bool replaces_damaged_ = false;
};

}  // namespace paddock::accounting
