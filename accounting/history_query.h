// What history.db says about the past. For the supervisor's own connection, or a read-only one of a process
// that answers the admin (Database::open, Access::kReadOnly).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "accounting/counters.h"
#include "accounting/database.h"

namespace paddock::accounting {

enum class Resolution : std::uint8_t { kMinute, kHour, kDay };
[[nodiscard]] std::chrono::seconds period(Resolution resolution);

struct Sample {
  Time start;  // of a minute, hour or day (UTC)
  Usage usage;
};

// A tenant's samples that begin in [since, until), in order; periods without use have none. The period that
// is still running is included as far as it has been flushed. since is first floored to its period. Costs a
// look-up for each period that the file holds in that span.
[[nodiscard]] Result<std::vector<Sample>> usage_samples(Database &database, const std::string &tenant,
                                                        Time since, Time until, Resolution resolution);

// A tenant's use since then, to the minute while minutes of that time are kept, else to the hour or day that
// it falls in.
[[nodiscard]] Result<Usage> usage_since(Database &database, const std::string &tenant, Time since);

enum class Ranking : std::uint8_t { kCpu, kMemory, kIo, kRequests, kRefused, kNetwork };

struct Ranked {
  std::string tenant;
  Usage usage;
};
// Those who used most since then, the highest first (memory: most memory for most time), at most `limit`;
// tenants with none of it are left out. Reads at most 59 minutes, 23 hours and the days of each tenant, where
// minutes and hours of that time are kept.
[[nodiscard]] Result<std::vector<Ranked>> usage_top(Database &database, Ranking ranking, Time since,
                                                    std::size_t limit);

// Every tenant's samples of [since, until), by time: for replaying rules. `visit` must not use the database.
Result<void> visit_samples(Database &database, Time since, Time until, Resolution resolution,
                           const std::function<void(const std::string &tenant, const Sample &sample)> &visit);

}  // namespace paddock::accounting
