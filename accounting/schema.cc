#include "accounting/schema.h"

#include <iterator>
#include <string>

namespace paddock::accounting {
namespace {

// A migration, once released, never changes: a new counter is a new migration that adds its column to
// totals, minutes, hours and days (ALTER TABLE … ADD COLUMN … INTEGER NOT NULL DEFAULT 0).
constexpr const char *kUsageColumns1 =
    "cpu_user_us INTEGER NOT NULL DEFAULT 0, "
    "cpu_system_us INTEGER NOT NULL DEFAULT 0, "
    "cpu_periods INTEGER NOT NULL DEFAULT 0, "
    "cpu_throttled_periods INTEGER NOT NULL DEFAULT 0, "
    "cpu_throttled_us INTEGER NOT NULL DEFAULT 0, "
    "io_read_bytes INTEGER NOT NULL DEFAULT 0, "
    "io_written_bytes INTEGER NOT NULL DEFAULT 0, "
    "io_reads INTEGER NOT NULL DEFAULT 0, "
    "io_writes INTEGER NOT NULL DEFAULT 0, "
    "oom_kills INTEGER NOT NULL DEFAULT 0, "
    "memory_high_events INTEGER NOT NULL DEFAULT 0, "
    "memory_max_events INTEGER NOT NULL DEFAULT 0, "
    "forks_refused INTEGER NOT NULL DEFAULT 0, "
    "cpu_some_us INTEGER NOT NULL DEFAULT 0, "
    "cpu_full_us INTEGER NOT NULL DEFAULT 0, "
    "memory_some_us INTEGER NOT NULL DEFAULT 0, "
    "memory_full_us INTEGER NOT NULL DEFAULT 0, "
    "io_some_us INTEGER NOT NULL DEFAULT 0, "
    "io_full_us INTEGER NOT NULL DEFAULT 0, "
    "requests INTEGER NOT NULL DEFAULT 0, "
    "request_ns INTEGER NOT NULL DEFAULT 0, "
    "bytes_in INTEGER NOT NULL DEFAULT 0, "
    "bytes_out INTEGER NOT NULL DEFAULT 0, "
    "refused INTEGER NOT NULL DEFAULT 0, "
    "late INTEGER NOT NULL DEFAULT 0, "
    "queued INTEGER NOT NULL DEFAULT 0, "
    "queue_ns INTEGER NOT NULL DEFAULT 0, "
    "net_in_bytes INTEGER NOT NULL DEFAULT 0, "
    "net_out_bytes INTEGER NOT NULL DEFAULT 0, "
    "starts INTEGER NOT NULL DEFAULT 0, "
    "crashes INTEGER NOT NULL DEFAULT 0, "
    "active_ms INTEGER NOT NULL DEFAULT 0, "
    "memory_kib_s INTEGER NOT NULL DEFAULT 0, "
    "anon_kib_s INTEGER NOT NULL DEFAULT 0, "
    "file_kib_s INTEGER NOT NULL DEFAULT 0, "
    "kernel_kib_s INTEGER NOT NULL DEFAULT 0, "
    "shmem_kib_s INTEGER NOT NULL DEFAULT 0, "
    "sock_kib_s INTEGER NOT NULL DEFAULT 0, "
    "pids_s INTEGER NOT NULL DEFAULT 0, "
    "memory_peak_bytes INTEGER NOT NULL DEFAULT 0, "
    "pids_peak INTEGER NOT NULL DEFAULT 0";

std::string samples_table(const char *name) {
  // In this order a flush appends to the end of the tree, whatever the number of tenants; a tenant's own
  // samples are found by one look-up a period.
  return std::string("CREATE TABLE ") + name +
         "(start INTEGER NOT NULL, tenant INTEGER NOT NULL REFERENCES tenants(id), " + kUsageColumns1 +
         ", PRIMARY KEY(start, tenant)) WITHOUT ROWID;";
}

std::string migration_1() {
  return std::string(
             "CREATE TABLE tenants(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
             "CREATE TABLE totals(tenant INTEGER PRIMARY KEY REFERENCES tenants(id), ") +
         kUsageColumns1 +
         ");"
         "CREATE TABLE marks(tenant INTEGER PRIMARY KEY REFERENCES tenants(id), run INTEGER NOT NULL,"
         " figures TEXT NOT NULL);" +
         samples_table("minutes") + samples_table("hours") + samples_table("days") +
         // AUTOINCREMENT: an id is never given twice, even after the newest events were removed.
         "CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
         " tenant TEXT NOT NULL, kind TEXT NOT NULL, actor TEXT NOT NULL, text TEXT NOT NULL,"
         " snapshot TEXT NOT NULL);"
         "CREATE INDEX events_by_tenant ON events(tenant, id);"
         "CREATE INDEX events_by_time ON events(time);";
}

std::string migration_2() {
  std::string sql;
  for (const char *table : {"totals", "minutes", "hours", "days"})
    for (const char *column : {"mails", "mails_refused"})
      sql += std::string("ALTER TABLE ") + table + " ADD COLUMN " + column + " INTEGER NOT NULL DEFAULT 0;";
  return sql;
}

constexpr std::string (*kMigrations[])() = {migration_1, migration_2};
constexpr std::int64_t kNewest = std::size(kMigrations);

}  // namespace

Result<void> migrate(Database &database, Time now) {
  PADDOCK_TRY(Transaction transaction, Transaction::begin(database));
  PADDOCK_CHECK(database.execute(
      "CREATE TABLE IF NOT EXISTS migrations(version INTEGER PRIMARY KEY, applied INTEGER NOT NULL)"));
  PADDOCK_TRY(const std::int64_t version,
              database.query_integer("SELECT coalesce(max(version), 0) FROM migrations"));
  if (version > kNewest)
    return errno_error("use history of schema version " + std::to_string(version) +
                           ", made by a later Paddock (this one knows " + std::to_string(kNewest) + ")",
                       ENOTSUP);
  if (version == kNewest) return {};
  PADDOCK_TRY(Statement *const insert, database.prepare("INSERT INTO migrations VALUES(?, ?)"));
  for (std::int64_t next = version; next < kNewest; ++next) {
    PADDOCK_CHECK(database.execute(kMigrations[next]()));
    PADDOCK_CHECK(insert->bind(next + 1).bind(std::int64_t{now.time_since_epoch().count() / 1000}).run());
  }
  return transaction.commit();
}

}  // namespace paddock::accounting
