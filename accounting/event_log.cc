#include "accounting/event_log.h"

#include <algorithm>

namespace paddock::accounting {
namespace {

constexpr std::int64_t kPrunedRows = 10'000;

void cut(std::string &text, std::size_t limit) {
  if (text.size() > limit) text.resize(limit);
}

void bound(Event &event) {
  cut(event.tenant, Event::kMaxTenant);
  cut(event.actor, Event::kMaxActor);
  cut(event.text, Event::kMaxText);
  if (event.snapshot.size() > Event::kMaxSnapshot) event.snapshot.clear();
}

std::string more_like_it(std::uint64_t suppressed) {
  return " (" + std::to_string(suppressed) + " more like it since the last)";
}

// The kinds that tenants cause, as a list of SQL.
const std::string &caused_by_tenants() {
  static const std::string list = [] {
    std::string names;
    for (int kind = 0; kind <= static_cast<int>(EventKind::kEventsLost); ++kind)
      if (is_caused_by_tenant(static_cast<EventKind>(kind)))
        names += (names.empty() ? "'" : ", '") + std::string(to_string(static_cast<EventKind>(kind))) + "'";
    return names;
  }();
  return list;
}

Result<std::uint64_t> insert(Database &database, const Event &event) {
  PADDOCK_TRY(Statement *const statement,
              database.prepare("INSERT INTO events(time, tenant, kind, actor, text, snapshot) "
                               "VALUES(?, ?, ?, ?, ?, ?)"));
  PADDOCK_CHECK(statement->bind(std::int64_t{event.time.time_since_epoch().count()})
                    .bind(std::string_view(event.tenant))
                    .bind(to_string(event.kind))
                    .bind(std::string_view(event.actor))
                    .bind(std::string_view(event.text))
                    .bind(std::string_view(event.snapshot))
                    .run());
  return static_cast<std::uint64_t>(database.last_insert_id());
}

}  // namespace

Result<std::vector<Event>> read_events(Database &database, const EventFilter &filter) {
  std::string sql = "SELECT id, time, tenant, kind, actor, text, snapshot FROM events WHERE id > ?";
  if (filter.since) sql += " AND time >= ?";
  if (filter.until) sql += " AND time < ?";
  const auto one_of = [](const char *column, std::size_t count) {
    std::string condition = std::string(" AND ") + column + " IN (";
    for (std::size_t at = 0; at < count; ++at) condition += at == 0 ? "?" : ", ?";
    return condition + ")";
  };
  if (filter.tenants) sql += one_of("tenant", filter.tenants->size());
  if (!filter.kinds.empty()) sql += one_of("kind", filter.kinds.size());
  sql += filter.newest ? " ORDER BY id DESC LIMIT ?" : " ORDER BY id LIMIT ?";

  PADDOCK_TRY(Statement *const select, database.prepare(sql));
  select->bind(filter.after_id);
  if (filter.since) select->bind(std::int64_t{filter.since->time_since_epoch().count()});
  if (filter.until) select->bind(std::int64_t{filter.until->time_since_epoch().count()});
  if (filter.tenants)
    for (const std::string &tenant : *filter.tenants) select->bind(std::string_view(tenant));
  for (const EventKind kind : filter.kinds) select->bind(to_string(kind));
  select->bind(std::uint64_t{filter.limit});
  std::vector<Event> events;
  for (;;) {
    PADDOCK_TRY(const bool row, select->step());
    if (!row) break;
    const auto kind = event_kind(select->text(3));
    if (!kind) continue;
    events.push_back({select->counter(0), Time(std::chrono::milliseconds(select->integer(1))),
                      select->text(2), *kind, select->text(4), select->text(5), select->text(6)});
  }
  if (filter.newest) std::reverse(events.begin(), events.end());
  return events;
}

void EventLog::refill(Flood &flood, Time now) {
  if (flood.taken == 0 || now < flood.since) {
    flood.since = now;
    return;
  }
  const auto intervals = (now - flood.since) / kFloodInterval;
  flood.taken -= static_cast<std::uint32_t>(std::min<std::int64_t>(intervals, flood.taken));
  flood.since += intervals * kFloodInterval;
}

bool EventLog::is_flood(Event &event) {
  if (!is_caused_by_tenant(event.kind)) return false;
  Flood &flood = floods_[{event.tenant, event.kind}];
  refill(flood, event.time);
  if (flood.taken == kFloodBurst) {
    ++flood.suppressed;
    return true;
  }
  ++flood.taken;
  if (flood.suppressed > 0) event.text += more_like_it(flood.suppressed);
  flood.suppressed = 0;
  return false;
}

void EventLog::enqueue(Event event) {
  pending_.push_back(std::move(event));
  if (pending_.size() <= kMaxPending) return;
  const auto least = std::find_if(pending_.begin(), pending_.end(),
                                  [](const Event &each) { return !is_durable(each.kind); });
  pending_.erase(least == pending_.end() ? pending_.begin() : least);
  ++lost_;
}

Result<EventLog::Outcome> EventLog::append(Event event) {
  bound(event);
  if (is_flood(event)) return Outcome::kSuppressed;
  const Time now = event.time;
  const bool durable = is_durable(event.kind);
  enqueue(std::move(event));
  if (!durable) return Outcome::kPending;
  PADDOCK_TRY(Database *const database, store_.database(now));
  auto written = write_pending(*database, now, true);
  if (!written) {
    store_.failed(written.error(), now);
    return std::move(written).error();
  }
  return Outcome::kWritten;
}

Result<void> EventLog::flush(Time now) {
  if (pending_.empty() && lost_ == 0) return {};
  PADDOCK_TRY(Database *const database, store_.database(now));
  // One that could not be made durable when it came is made so now.
  const bool wait = std::any_of(pending_.begin(), pending_.end(),
                                [](const Event &event) { return is_durable(event.kind); });
  auto written = write_pending(*database, now, wait);
  if (!written) store_.failed(written.error(), now);
  return written;
}

Result<void> EventLog::write_pending(Database &database, Time now, bool wait) {
  if (wait) PADDOCK_CHECK(database.durable(true));
  const auto write = [&]() -> Result<std::uint64_t> {
    std::uint64_t last = last_id_;
    PADDOCK_TRY(Transaction transaction, Transaction::begin(database));
    for (const Event &event : pending_) {
      PADDOCK_TRY(last, insert(database, event));
    }
    if (lost_ > 0) {
      const std::string text = std::to_string(lost_) + " events found no room on disk nor in memory";
      PADDOCK_TRY(last, insert(database, {0, now, {}, EventKind::kEventsLost, {}, text, {}}));
    }
    PADDOCK_CHECK(transaction.commit());
    return last;
  };
  auto written = write();
  // The commits of every ten seconds need not wait for the disk.
  auto relaxed = wait ? database.durable(false) : Result<void>{};
  if (!written) return std::move(written).error();
  last_id_ = *written;
  for (Event &event : pending_)
    if (is_caused_by_tenant(event.kind)) grown_.insert(std::move(event.tenant));
  pending_.clear();
  lost_ = 0;
  return relaxed;
}

Result<std::vector<Event>> EventLog::list(const EventFilter &filter, Time now) {
  // A full disk is no reason not to read: what is pending shows later.
  (void)flush(now);
  PADDOCK_TRY(Database *const database, store_.database(now));
  auto events = read_events(*database, filter);
  if (!events) store_.failed(events.error(), now);
  return events;
}

Result<void> EventLog::prune(Time now) {
  for (auto entry = floods_.begin(); entry != floods_.end();) {
    auto &[key, flood] = *entry;
    refill(flood, now);
    if (flood.suppressed > 0 && flood.taken < kFloodBurst) {
      // The flood is over, and no later event has told how great it was.
      ++flood.taken;
      enqueue({0, now, key.first, key.second, {}, "flood ended" + more_like_it(flood.suppressed), {}});
      flood.suppressed = 0;
    }
    entry = flood.taken == 0 ? floods_.erase(entry) : std::next(entry);
  }
  PADDOCK_TRY(Database *const database, store_.database(now));
  auto removed = remove_excess(*database, now);
  if (!removed) store_.failed(removed.error(), now);
  return removed;
}

Result<void> EventLog::remove_excess(Database &database, Time now) {
  PADDOCK_TRY(Transaction transaction, Transaction::begin(database));
  PADDOCK_TRY(Statement *const old,
              database.prepare("DELETE FROM events WHERE id IN "
                               "(SELECT id FROM events WHERE time < ? ORDER BY time LIMIT ?)"));
  PADDOCK_CHECK(
      old->bind(std::int64_t{(now - retention_.age).time_since_epoch().count()}).bind(kPrunedRows).run());
  PADDOCK_TRY(Statement *const excess,
              database.prepare("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <= (SELECT id "
                               "FROM events ORDER BY id DESC LIMIT 1 OFFSET ?) AND kind IN (" +
                               caused_by_tenants() + ") ORDER BY id LIMIT ?)"));
  PADDOCK_CHECK(excess->bind(retention_.count).bind(kPrunedRows).run());

  const std::string of_tenant = "FROM events WHERE tenant = ? AND kind IN (" + caused_by_tenants() + ")";
  const std::string delete_own = "DELETE FROM events WHERE id IN (SELECT id " + of_tenant +
                                 " AND id <= (SELECT id " + of_tenant +
                                 " ORDER BY id DESC LIMIT 1 OFFSET ?) ORDER BY id LIMIT ?)";
  std::set<std::string> left;
  for (const std::string &tenant : grown_) {
    PADDOCK_TRY(Statement *const own, database.prepare(delete_own));
    PADDOCK_CHECK(own->bind(std::string_view(tenant))
                      .bind(std::string_view(tenant))
                      .bind(retention_.per_tenant)
                      .bind(kPrunedRows)
                      .run());
    if (database.changes() == kPrunedRows) left.insert(tenant);
  }
  PADDOCK_CHECK(transaction.commit());
  grown_ = std::move(left);
  return {};
}

}  // namespace paddock::accounting
