#include "accounting/history_query.h"

#include <algorithm>
#include <limits>

#include "accounting/usage_row.h"

namespace paddock::accounting {
namespace {

constexpr std::int64_t kEndOfTime = std::numeric_limits<std::int64_t>::max() / 2;

std::int64_t seconds_of(Time time) {
  return time.time_since_epoch().count() / 1000;
}
std::int64_t seconds_of(Resolution resolution) {
  return period(resolution).count();
}
Time time_of(std::int64_t seconds) {
  return Time(std::chrono::seconds(seconds));
}

std::int64_t floor_to(std::int64_t seconds, std::int64_t unit) {
  return std::max<std::int64_t>(seconds, 0) / unit * unit;
}
std::int64_t ceil_to(std::int64_t seconds, std::int64_t unit) {
  return floor_to(seconds + unit - 1, unit);
}

const char *table_of(Resolution resolution) {
  switch (resolution) {
    case Resolution::kMinute:
      return "minutes";
    case Resolution::kHour:
      return "hours";
    case Resolution::kDay:
      return "days";
  }
  return "";
}

Result<std::int64_t> oldest(Database &database, Resolution resolution) {
  return database.query_integer("SELECT coalesce(min(start), " + std::to_string(kEndOfTime) + ") FROM " +
                                table_of(resolution));
}
Result<std::int64_t> newest(Database &database, Resolution resolution) {
  return database.query_integer(std::string("SELECT coalesce(max(start), -1) FROM ") + table_of(resolution));
}

// 0: the file knows no such tenant.
Result<std::int64_t> tenant_id(Database &database, const std::string &tenant) {
  PADDOCK_TRY(Statement *const select, database.prepare("SELECT id FROM tenants WHERE name = ?"));
  PADDOCK_TRY(const bool row, select->bind(std::string_view(tenant)).step());
  const std::int64_t id = row ? select->integer(0) : 0;
  if (row) select->reset();
  return id;
}

// Rows of [begin, end) of one table.
struct Segment {
  Resolution resolution;
  std::int64_t begin;
  std::int64_t end;
};

// The fewest rows that cover all since then: minutes up to the next hour, hours up to the next day, days.
// Where the finer rows of that time are gone, the coarser one that it falls in is taken whole.
Result<std::vector<Segment>> segments_since(Database &database, Time since) {
  const std::int64_t hour = seconds_of(Resolution::kHour);
  const std::int64_t day = seconds_of(Resolution::kDay);
  const std::int64_t first_minute = floor_to(seconds_of(since), seconds_of(Resolution::kMinute));
  PADDOCK_TRY(const std::int64_t oldest_minute, oldest(database, Resolution::kMinute));
  PADDOCK_TRY(const std::int64_t oldest_hour, oldest(database, Resolution::kHour));
  const std::int64_t first_hour =
      first_minute < oldest_minute ? floor_to(first_minute, hour) : ceil_to(first_minute, hour);
  const std::int64_t first_day =
      first_hour < oldest_hour ? floor_to(first_hour, day) : ceil_to(first_hour, day);
  std::vector<Segment> segments;
  if (first_minute < first_hour) segments.push_back({Resolution::kMinute, first_minute, first_hour});
  if (first_hour < first_day) segments.push_back({Resolution::kHour, first_hour, first_day});
  segments.push_back({Resolution::kDay, first_day, kEndOfTime});
  return segments;
}

// Calls visit(start, usage) for each row of a tenant in the segment.
template <typename Visit>
Result<void> each_row(Database &database, std::int64_t tenant, const Segment &segment, Visit visit) {
  const std::int64_t step = seconds_of(segment.resolution);
  PADDOCK_TRY(const std::int64_t first, oldest(database, segment.resolution));
  PADDOCK_TRY(const std::int64_t last, newest(database, segment.resolution));
  PADDOCK_TRY(Statement *const select,
              database.prepare("SELECT " + usage_columns() + " FROM " + table_of(segment.resolution) +
                               " WHERE start = ? AND tenant = ?"));
  const std::int64_t end = std::min(segment.end, last + 1);
  for (std::int64_t start = std::max(segment.begin, first); start < end; start += step) {
    PADDOCK_TRY(const bool row, select->bind(start).bind(tenant).step());
    if (!row) continue;
    visit(start, read_usage(*select, 0));
    select->reset();
  }
  return {};
}

const char *expression_of(Ranking ranking) {
  switch (ranking) {
    case Ranking::kCpu:
      return "cpu_user_us + cpu_system_us";
    case Ranking::kMemory:
      return "memory_kib_s";
    case Ranking::kIo:
      return "io_read_bytes + io_written_bytes";
    case Ranking::kRequests:
      return "requests";
    case Ranking::kRefused:
      return "refused";
    case Ranking::kNetwork:
      return "net_in_bytes + net_out_bytes";
  }
  return "0";
}

}  // namespace

std::chrono::seconds period(Resolution resolution) {
  switch (resolution) {
    case Resolution::kMinute:
      return std::chrono::minutes(1);
    case Resolution::kHour:
      return std::chrono::hours(1);
    case Resolution::kDay:
      return std::chrono::days(1);
  }
  return {};
}

Result<std::vector<Sample>> usage_samples(Database &database, const std::string &tenant, Time since,
                                          Time until, Resolution resolution) {
  std::vector<Sample> samples;
  PADDOCK_TRY(const std::int64_t id, tenant_id(database, tenant));
  if (id == 0) return samples;
  const Segment segment{resolution, floor_to(seconds_of(since), seconds_of(resolution)),
                        ceil_to(seconds_of(until), seconds_of(resolution))};
  PADDOCK_CHECK(each_row(database, id, segment, [&samples](std::int64_t start, const Usage &usage) {
    samples.push_back({time_of(start), usage});
  }));
  return samples;
}

Result<Usage> usage_since(Database &database, const std::string &tenant, Time since) {
  Usage sum;
  PADDOCK_TRY(const std::int64_t id, tenant_id(database, tenant));
  if (id == 0) return sum;
  PADDOCK_TRY(const std::vector<Segment> segments, segments_since(database, since));
  for (const Segment &segment : segments)
    PADDOCK_CHECK(each_row(database, id, segment,
                           [&sum](std::int64_t /*start*/, const Usage &usage) { sum.add(usage); }));
  return sum;
}

Result<std::vector<Ranked>> usage_top(Database &database, Ranking ranking, Time since, std::size_t limit) {
  PADDOCK_TRY(const std::vector<Segment> segments, segments_since(database, since));
  std::string rows;
  for (const Segment &segment : segments) {
    if (!rows.empty()) rows += " UNION ALL ";
    rows += std::string("SELECT tenant, ") + expression_of(ranking) + " AS amount FROM " +
            table_of(segment.resolution) + " WHERE start >= ? AND start < ?";
  }
  std::vector<Ranked> ranked;
  PADDOCK_TRY(Statement *const select,
              database.prepare("SELECT name FROM (SELECT tenant, sum(amount) AS total FROM (" + rows +
                               ") GROUP BY tenant) JOIN tenants ON id = tenant WHERE total > 0 "
                               "ORDER BY total DESC, name LIMIT ?"));
  for (const Segment &segment : segments) select->bind(segment.begin).bind(segment.end);
  select->bind(std::uint64_t{limit});
  for (;;) {
    PADDOCK_TRY(const bool row, select->step());
    if (!row) break;
    ranked.push_back({select->text(0), {}});
  }
  for (Ranked &entry : ranked) {
    PADDOCK_TRY(entry.usage, usage_since(database, entry.tenant, since));
  }
  return ranked;
}

Result<void> visit_samples(Database &database, Time since, Time until, Resolution resolution,
                           const std::function<void(const std::string &, const Sample &)> &visit) {
  PADDOCK_TRY(Statement *const select,
              database.prepare("SELECT name, start, " + usage_columns() + " FROM " + table_of(resolution) +
                               " JOIN tenants ON id = tenant WHERE start >= ? AND start < ?"
                               " ORDER BY start, tenant"));
  select->bind(floor_to(seconds_of(since), seconds_of(resolution))).bind(seconds_of(until));
  for (;;) {
    PADDOCK_TRY(const bool row, select->step());
    if (!row) return {};
    visit(select->text(0), {time_of(select->integer(1)), read_usage(*select, 2)});
  }
}

}  // namespace paddock::accounting
