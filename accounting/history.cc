#include "accounting/history.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "accounting/usage_row.h"

namespace paddock::accounting {
namespace {

constexpr std::chrono::seconds kMinute{60};
constexpr std::chrono::seconds kHour{3600};
constexpr std::chrono::seconds kDay{86400};
constexpr std::chrono::milliseconds kPruneInterval = kMinute;
// Once a minute one minute goes past its retention; ten at a time catch up soon enough.
constexpr int kPrunedPeriods = 10;

Time floor_to(Time time, std::chrono::seconds period) {
  // Before 1970 only where the clock was never set; those periods begin later than they should, no more.
  return time - time.time_since_epoch() % std::chrono::milliseconds(period);
}

std::int64_t seconds_of(Time time) {
  return time.time_since_epoch().count() / 1000;
}

// "cpu_user_us=5 cpu_system_us=2": by name, so that it still reads when a later version counts more.
std::string encode_figures(const Counters &counters) {
  std::string text;
  for (const CounterField &field : counter_fields()) {
    if (field.source != Source::kKernel || counters.*field.member == 0) continue;
    text += text.empty() ? "" : " ";
    text += field.name;
    text += '=';
    text += std::to_string(counters.*field.member);
  }
  return text;
}

Counters decode_figures(std::string_view text) {
  Counters counters;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    for (const CounterField &field : counter_fields())
      if (field.source == Source::kKernel && item.substr(0, equals) == field.name)
        std::from_chars(item.data() + equals + 1, item.data() + item.size(), counters.*field.member);
  }
  return counters;
}

Result<void> upsert(Database &database, const std::string &sql, Time start, std::int64_t tenant,
                    const Usage &usage) {
  PADDOCK_TRY(Statement *const statement, database.prepare(sql));
  statement->bind(seconds_of(start)).bind(tenant);
  bind_usage(*statement, usage);
  return statement->run();
}

}  // namespace

void History::record(const std::string &tenant, Time at, const Usage &increment, const Mark &mark) {
  const auto found = accounts_.try_emplace(tenant).first;
  Account &account = found->second;
  if (mark.run != 0 && !(mark == account.mark)) {
    account.mark = mark;
    account.mark_unsaved = true;
  }
  if (!increment.empty()) {
    account.lifetime.add(increment);
    account.unsaved.add(increment);
    account.minutes[floor_to(at, kMinute)].add(increment);
    if (account.minutes.size() > kMaxPendingMinutes) {
      const auto oldest = account.minutes.begin();
      std::next(oldest)->second.add(oldest->second);
      account.minutes.erase(oldest);
    }
  } else if (!account.mark_unsaved) {
    return;
  }
  if (!account.dirty) dirty_.emplace_back(&found->first, &account);
  account.dirty = true;
}

Usage History::lifetime(const std::string &tenant) const {
  const auto found = accounts_.find(tenant);
  return found == accounts_.end() ? Usage{} : found->second.lifetime;
}

Mark History::mark(const std::string &tenant) const {
  const auto found = accounts_.find(tenant);
  return found == accounts_.end() ? Mark{} : found->second.mark;
}

Result<void> History::load(Time now) {
  PADDOCK_TRY(Database *const database, store_.database(now));
  if (generation_ == store_.generation()) return {};
  auto read = read_totals(*database);
  if (!read) store_.failed(read.error(), now);
  return read;
}

Result<void> History::read_totals(Database &database) {
  struct Row {
    std::string name;
    std::int64_t id;
    Usage total;
    Mark mark;
  };
  std::vector<Row> rows;
  PADDOCK_TRY(
      Statement *const select,
      database.prepare("SELECT name, id, coalesce(run, 0), coalesce(figures, ''), " + usage_columns() +
                       " FROM tenants LEFT JOIN totals ON totals.tenant = id"
                       " LEFT JOIN marks ON marks.tenant = id"));
  for (;;) {
    PADDOCK_TRY(const bool row, select->step());
    if (!row) break;
    rows.push_back({select->text(0),
                    select->integer(1),
                    read_usage(*select, 4),
                    {std::bit_cast<std::uint64_t>(select->integer(2)), decode_figures(select->text(3))}});
  }
  // The same file again (it was closed after an error), or a new one in place of a damaged one: memory knows
  // more than the file, which gets all that it lacks. Only what memory has never seen is added from the file.
  const bool first = generation_ == 0;
  for (auto &[name, account] : accounts_) {
    account.id = 0;
    if (first) continue;
    account.unsaved = account.lifetime;
    account.mark_unsaved = account.mark.run != 0;
    if (!account.dirty) dirty_.emplace_back(&name, &account);
    account.dirty = true;
  }
  for (const Row &row : rows) {
    const auto [found, unseen] = accounts_.try_emplace(row.name);
    Account &account = found->second;
    account.id = row.id;
    if (first || unseen) {
      account.lifetime.add(row.total);
      if (account.mark.run == 0) account.mark = row.mark;
    } else {
      for (const CounterField &field : counter_fields()) {
        std::uint64_t &lacks = account.unsaved.counters.*field.member;
        lacks -= std::min(lacks, row.total.counters.*field.member);
      }
    }
  }
  generation_ = store_.generation();
  return {};
}

Result<void> History::flush(Time now) {
  flushed_at_ = now;
  PADDOCK_CHECK(load(now));
  if (dirty_.empty()) return {};
  PADDOCK_TRY(Database *const database, store_.database(now));
  std::vector<Account *> named;
  auto written = write_all(*database, named);
  if (!written) {
    for (Account *const account : named) account->id = 0;
    store_.failed(written.error(), now);
    return written;
  }
  for (const auto &[name, account] : dirty_) {
    account->unsaved = {};
    account->minutes.clear();
    account->mark_unsaved = false;
    account->dirty = false;
  }
  dirty_.clear();
  return {};
}

Result<void> History::write_all(Database &database, std::vector<Account *> &named) {
  PADDOCK_TRY(Transaction transaction, Transaction::begin(database));
  for (const auto &[name, account] : dirty_) {
    if (account->id == 0) {
      PADDOCK_TRY(Statement *const insert, database.prepare("INSERT INTO tenants(name) VALUES(?)"));
      PADDOCK_CHECK(insert->bind(std::string_view(*name)).run());
      account->id = database.last_insert_id();
      named.push_back(account);
    }
    PADDOCK_CHECK(write(database, *account));
  }
  return transaction.commit();
}

Result<void> History::write(Database &database, Account &account) {
  static const std::string kTotals = usage_upsert("totals", "tenant");
  static const std::string kMinutes = usage_upsert("minutes", "start, tenant");
  static const std::string kHours = usage_upsert("hours", "start, tenant");
  static const std::string kDays = usage_upsert("days", "start, tenant");

  if (!account.unsaved.empty()) {
    PADDOCK_TRY(Statement *const total, database.prepare(kTotals));
    total->bind(account.id);
    bind_usage(*total, account.unsaved);
    PADDOCK_CHECK(total->run());
  }
  if (account.mark_unsaved) {
    PADDOCK_TRY(
        Statement *const mark,
        database.prepare("INSERT INTO marks(tenant, run, figures) VALUES(?, ?, ?) ON CONFLICT(tenant) "
                         "DO UPDATE SET run = excluded.run, figures = excluded.figures"));
    PADDOCK_CHECK(mark->bind(account.id)
                      .bind(std::bit_cast<std::int64_t>(account.mark.run))
                      .bind(std::string_view(encode_figures(account.mark.counters)))
                      .run());
  }
  std::map<Time, Usage> hours;
  std::map<Time, Usage> days;
  for (const auto &[start, usage] : account.minutes) {
    PADDOCK_CHECK(upsert(database, kMinutes, start, account.id, usage));
    hours[floor_to(start, kHour)].add(usage);
    days[floor_to(start, kDay)].add(usage);
  }
  for (const auto &[start, usage] : hours) PADDOCK_CHECK(upsert(database, kHours, start, account.id, usage));
  for (const auto &[start, usage] : days) PADDOCK_CHECK(upsert(database, kDays, start, account.id, usage));
  return {};
}

Result<void> History::tick(Time now) {
  // A clock that was set back must not stop the writing.
  const auto due = [now](Time last, std::chrono::milliseconds interval) {
    return now < last || now - last >= interval;
  };
  if (due(flushed_at_, kFlushInterval)) PADDOCK_CHECK(flush(now));
  if (due(pruned_at_, kPruneInterval)) PADDOCK_CHECK(prune(now));
  return {};
}

Result<void> History::prune(Time now) {
  pruned_at_ = now;
  PADDOCK_TRY(Database *const database, store_.database(now));
  auto pruned = prune_table(*database, "minutes", kMinute, now - retention_.minutes);
  if (pruned) pruned = prune_table(*database, "hours", kHour, now - retention_.hours);
  if (pruned) pruned = prune_table(*database, "days", kDay, now - retention_.days);
  if (!pruned) store_.failed(pruned.error(), now);
  return pruned;
}

Result<void> History::prune_table(Database &database, const char *table, std::chrono::seconds period,
                                  Time cutoff) {
  const std::string name(table);
  PADDOCK_TRY(const std::int64_t oldest,
              database.query_integer("SELECT coalesce(min(start), -1) FROM " + name));
  // A period goes when all of it is past the cutoff.
  const std::int64_t end =
      std::min(seconds_of(floor_to(cutoff, period)), oldest + kPrunedPeriods * period.count());
  if (oldest < 0 || oldest >= end) return {};
  PADDOCK_TRY(Statement *const remove, database.prepare("DELETE FROM " + name + " WHERE start < ?"));
  return remove->bind(end).run();
}

}  // namespace paddock::accounting
