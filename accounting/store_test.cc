#include "accounting/store.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "accounting/accounting_test.h"
#include "accounting/event_log.h"
#include "accounting/history.h"
#include "accounting/schema.h"
#include "accounting/usage_row.h"
#include "base/file.h"

using namespace paddock;
using namespace paddock::accounting;
using namespace std::chrono_literals;

TEST_CASE("a fresh store is private, in WAL, and of the newest schema") {
  const TempDir directory;
  Store store(directory.file());
  CHECK(store.generation() == 0);
  const auto database = store.database(kNewYear);
  REQUIRE(database.ok());
  CHECK(store.generation() == 1);
  CHECK_FALSE(store.take_damage());
  struct stat status {};
  for (const char *suffix : {"", "-wal", "-shm"}) {
    REQUIRE(::stat((directory.file() + suffix).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
  }
  CHECK((*database)->query_integer("SELECT max(version) FROM migrations").value() == 2);
  const auto mode = (*database)->prepare("PRAGMA journal_mode");
  REQUIRE(mode.ok());
  REQUIRE((*mode)->step().value());
  CHECK((*mode)->text(0) == "wal");
}

TEST_CASE("every counter and peak has its column in all four tables") {
  const TempDir directory;
  Store store(directory.file());
  const auto database = store.database(kNewYear);
  REQUIRE(database.ok());
  for (const std::string table : {"totals", "minutes", "hours", "days"}) {
    CAPTURE(table);
    CHECK((*database)->prepare("SELECT tenant, " + usage_columns() + " FROM " + table).ok());
    // and no more than these: tenant, and start but in totals
    CHECK((*database)->query_integer("SELECT count(*) FROM pragma_table_info('" + table + "')").value() ==
          static_cast<std::int64_t>(counter_fields().size()) + 2 + (table == "totals" ? 1 : 2));
  }
}

TEST_CASE("a file of an earlier Paddock keeps its figures and gets the new columns") {
  const TempDir directory;
  {
    Store store(directory.file());
    const auto database = store.database(kNewYear);
    REQUIRE(database.ok());
    for (const std::string table : {"totals", "minutes", "hours", "days"})
      for (const std::string column : {"mails", "mails_refused"})
        REQUIRE((*database)->execute("ALTER TABLE " + table + " DROP COLUMN " + column).ok());
    REQUIRE((*database)->execute("DELETE FROM migrations WHERE version = 2").ok());
    REQUIRE((*database)->execute("INSERT INTO tenants VALUES(1, 'alice')").ok());
    REQUIRE((*database)->execute("INSERT INTO totals(tenant, requests) VALUES(1, 7)").ok());
  }
  Store store(directory.file());
  const auto database = store.database(kNewYear);
  REQUIRE(database.ok());
  CHECK((*database)->query_integer("SELECT max(version) FROM migrations").value() == 2);
  CHECK((*database)->query_integer("SELECT requests + mails FROM totals WHERE tenant = 1").value() == 7);
}

TEST_CASE("a file of a later Paddock is refused and left as it is") {
  const TempDir directory;
  {
    Store store(directory.file());
    const auto database = store.database(kNewYear);
    REQUIRE(database.ok());
    REQUIRE((*database)->execute("INSERT INTO migrations VALUES(99, 0)").ok());
  }
  Store store(directory.file());
  const auto database = store.database(kNewYear);
  REQUIRE_FALSE(database.ok());
  CHECK(database.error().code == ENOTSUP);
  CHECK(database.error().message().find("99") != std::string::npos);
  CHECK(count_files(directory.path, "corrupt") == 0);
}

TEST_CASE("what is no sound database is moved aside, and a new one begun") {
  const TempDir directory;
  const std::string file = directory.file();
  SECTION("no database at all") {
    REQUIRE(replace_file(file, std::string(8192, 'x'), 0600).ok());
  }
  SECTION("a directory") {
    REQUIRE(make_directories(file, 0700).ok());
  }
  SECTION("a symbolic link") {
    const std::string target = directory.path + "/precious";
    REQUIRE(replace_file(target, "precious", 0600).ok());
    std::filesystem::create_symlink(target, file);
  }
  SECTION("a damaged page") {
    {
      Store store(file);
      History history(store, {});
      for (int tenant = 0; tenant < 200; ++tenant)
        history.record("tenant" + std::to_string(tenant), kNewYear, cpu(1));
      REQUIRE(history.flush(kNewYear).ok());
    }
    const auto size = std::filesystem::file_size(file);
    REQUIRE(size > 5 * 4096);
    std::fstream damaged(file, std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(4096);
    damaged << std::string(static_cast<std::size_t>(size) - 4096, '\x5a');
  }
  SECTION("cut short") {
    {
      Store store(file);
      REQUIRE(store.database(kNewYear).ok());
    }
    std::filesystem::resize_file(file, 5000);
  }
  Store store(file);
  EventLog events(store, {});
  const auto database = store.database(kNewYear);
  REQUIRE(database.ok());
  const auto damage = store.take_damage();
  REQUIRE(damage);
  CHECK_FALSE(store.take_damage());
  CHECK(damage->moved_to == file + ".corrupt-20260101T000000Z");
  CHECK_FALSE(damage->cause.attempt.empty());
  CHECK(std::filesystem::symlink_status(damage->moved_to).type() != std::filesystem::file_type::not_found);
  if (std::filesystem::exists(directory.path + "/precious"))
    CHECK(read_file(directory.path + "/precious").value() == "precious");
  // The ids of events go on above those of the lost file.
  REQUIRE(events.append({0, kNewYear, "", EventKind::kCorruptHistory, "", damage->moved_to, ""}).ok());
  CHECK(events.last_id() > 1'700'000'000);
}

TEST_CASE("two damaged files of the same second do not overwrite each other") {
  const TempDir directory;
  for (int round = 0; round < 3; ++round) {
    REQUIRE(replace_file(directory.file(), std::string(8192, 'x'), 0600).ok());
    Store store(directory.file());
    REQUIRE(store.database(kNewYear).ok());
  }
  CHECK(count_files(directory.path, ".corrupt-") == 3);
}

TEST_CASE("damage that shows in use costs no total") {
  const TempDir directory;
  Store store(directory.file());
  History history(store, {});
  history.record("alice", kNewYear, cpu(1000));
  REQUIRE(history.flush(kNewYear).ok());
  history.record("alice", kNewYear, cpu(10));
  history.record("bob", kNewYear, cpu(7));

  // As an answer of SQLITE_CORRUPT would do it.
  store.failed(errno_error("read a page", EBADMSG), kNewYear);
  REQUIRE(store.take_damage());
  CHECK(history.lifetime("alice").counters.cpu_user_us == 1010);
  REQUIRE(history.flush(kNewYear + 1s).ok());
  CHECK(query(directory.file(), "SELECT sum(cpu_user_us) FROM totals") == 1017);
  CHECK(query(directory.file(), "SELECT sum(cpu_user_us) FROM minutes") == 17);
  CHECK(history.lifetime("alice").counters.cpu_user_us == 1010);
}

TEST_CASE("errors that are none of the file's leave it where it is") {
  const TempDir directory;
  Store store(directory.file());
  REQUIRE(store.database(kNewYear).ok());
  for (const int code : {ENOSPC, EBUSY, EIO, EROFS}) store.failed(errno_error("write", code), kNewYear);
  CHECK(store.generation() == 1);
  CHECK_FALSE(store.take_damage());
}

TEST_CASE("a directory that is missing is tried again, not all the time") {
  const TempDir directory;
  Store store(directory.path + "/later/history.db");
  CHECK_FALSE(store.database(kNewYear).ok());
  REQUIRE(make_directories(directory.path + "/later", 0700).ok());
  CHECK_FALSE(store.database(kNewYear + 500ms).ok());
  CHECK(store.database(kNewYear + 1s).ok());
}
