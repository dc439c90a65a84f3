#include "accounting/history.h"

#include <catch2/catch.hpp>

#include "accounting/accounting_test.h"
#include "accounting/history_query.h"

using namespace paddock;
using namespace paddock::accounting;
using namespace std::chrono_literals;

namespace {

Usage sample(std::uint64_t cpu_us, std::uint64_t memory_kib_s, std::uint64_t written,
             std::uint64_t requests) {
  Usage usage = cpu(cpu_us);
  usage.counters.memory_kib_s = memory_kib_s;
  usage.counters.io_written_bytes = written;
  usage.counters.requests = requests;
  return usage;
}

std::vector<std::string> names(const std::vector<Ranked> &ranked) {
  std::vector<std::string> all;
  for (const Ranked &entry : ranked) all.push_back(entry.tenant);
  return all;
}

}  // namespace

TEST_CASE("what is recorded is there after a restart, in totals, minutes, hours and days") {
  const TempDir directory;
  Mark mark{run_identity("boot", 5), {}};
  mark.counters.cpu_user_us = 400;
  mark.counters.io_full_us = 9;
  Usage peak = sample(100, 5, 4096, 2);
  peak.peaks = {1000, 10};
  {
    Store store(directory.file());
    History history(store, {});
    REQUIRE(history.load(kNewYear).ok());
    history.record("alice", kNewYear + 5s, peak);
    history.record("alice", kNewYear + 59s, sample(100, 0, 0, 0));
    REQUIRE(history.flush(kNewYear + 60s).ok());
    peak.peaks = {900, 12};
    history.record("alice", kNewYear + 50s, peak);  // the same minute, after it had been flushed
    history.record("alice", kNewYear + 61s, sample(100, 0, 0, 1), mark);
    history.record("alice", kNewYear + 2h, sample(100, 0, 0, 1), mark);
    history.record("bob", kNewYear + 25h, sample(7, 0, 0, 0));
    REQUIRE(history.flush(kNewYear + 25h).ok());
    CHECK(history.lifetime("alice").counters.cpu_user_us == 500);
  }
  Store store(directory.file());
  History history(store, {});
  CHECK(history.lifetime("alice").empty());
  REQUIRE(history.load(kNewYear).ok());
  const Usage alice = history.lifetime("alice");
  CHECK(alice.counters.cpu_user_us == 500);
  CHECK(alice.counters.requests == 6);
  CHECK(alice.peaks == Peaks{1000, 12});
  CHECK(history.lifetime("bob").counters.cpu_user_us == 7);
  CHECK(history.lifetime("nobody").empty());
  CHECK(history.mark("alice") == mark);
  CHECK(history.mark("bob") == Mark{});

  // Totals go on from there.
  history.record("alice", kNewYear + 26h, cpu(1));
  REQUIRE(history.flush(kNewYear + 26h).ok());
  CHECK(query(directory.file(), "SELECT max(cpu_user_us) FROM totals") == 501);

  Database &database = **store.database(kNewYear);
  const auto minutes = usage_samples(database, "alice", kNewYear, kNewYear + 3h, Resolution::kMinute);
  REQUIRE(minutes.ok());
  REQUIRE(minutes->size() == 3);
  CHECK((*minutes)[0].start == kNewYear);
  CHECK((*minutes)[0].usage.counters.cpu_user_us == 300);
  CHECK((*minutes)[0].usage.peaks == Peaks{1000, 12});
  CHECK((*minutes)[1].start == kNewYear + 60s);
  CHECK((*minutes)[2].start == kNewYear + 2h);
  const auto hours = usage_samples(database, "alice", kNewYear, kNewYear + 24h, Resolution::kHour);
  REQUIRE(hours.ok());
  REQUIRE(hours->size() == 2);
  CHECK((*hours)[0].usage.counters.cpu_user_us == 400);
  CHECK((*hours)[1].usage.counters.cpu_user_us == 100);
  const auto days = usage_samples(database, "bob", kNewYear, kNewYear + 72h, Resolution::kDay);
  REQUIRE(days.ok());
  REQUIRE(days->size() == 1);
  CHECK((*days)[0].start == kNewYear + 24h);
  CHECK(usage_samples(database, "nobody", kNewYear, kNewYear + 24h, Resolution::kMinute)->empty());
}

TEST_CASE("a tick writes each ten seconds, and what has not changed not at all") {
  const TempDir directory;
  Store store(directory.file());
  History history(store, {});
  const auto total = [&] {
    return query(directory.file(), "SELECT coalesce(sum(cpu_user_us), 0) FROM totals");
  };
  REQUIRE(history.tick(kNewYear).ok());
  for (int second = 1; second <= 30; ++second) {
    history.record("alice", kNewYear + std::chrono::seconds(second), cpu(1));
    REQUIRE(history.tick(kNewYear + std::chrono::seconds(second)).ok());
    CHECK(second - total() < 10);
    if (second % 10 == 0) CHECK(total() == second);
  }
  // A clock that is set back an hour must not stop it for an hour.
  history.record("alice", kNewYear - 1h, cpu(1));
  REQUIRE(history.tick(kNewYear - 1h).ok());
  CHECK(total() == 31);

  const auto before = (*store.database(kNewYear))->query_integer("SELECT total_changes()").value();
  history.record("alice", kNewYear, Usage{});
  REQUIRE(history.flush(kNewYear).ok());
  CHECK((*store.database(kNewYear))->query_integer("SELECT total_changes()").value() == before);
}

TEST_CASE("use since a moment is exact to the minute while minutes are kept") {
  const TempDir directory;
  Store store(directory.file());
  History history(store, {});
  const Time end = kNewYear + 84h;
  for (Time at = kNewYear; at < end; at += 1min) {
    history.record("alice", at, cpu(1));
    if (at >= kNewYear + 80h) history.record("bob", at, cpu(2));
    if ((at - kNewYear) % 1h == 0h) REQUIRE(history.flush(at).ok());
  }
  REQUIRE(history.flush(end).ok());
  Database &database = **store.database(end);
  const auto since = [&](Time from, const std::string &tenant = "alice") {
    const auto usage = usage_since(database, tenant, from);
    REQUIRE(usage.ok());
    return usage->counters.cpu_user_us;
  };
  for (const auto back : {1min, 59min, 60min, 61min, 150min, 24 * 60min, 24 * 60min + 7min, 80 * 60min}) {
    CAPTURE(back.count());
    CHECK(since(end - back) == static_cast<std::uint64_t>(back.count()));
  }
  CHECK(since(end - 1h, "bob") == 120);
  CHECK(since(end) == 0);
  CHECK(since(Time{}) == 84 * 60);

  const auto top = usage_top(database, Ranking::kCpu, end - 1h, 10);
  REQUIRE(top.ok());
  CHECK(names(*top) == std::vector<std::string>{"bob", "alice"});
  CHECK((*top)[0].usage.counters.cpu_user_us == 120);
  CHECK(names(*usage_top(database, Ranking::kCpu, kNewYear, 10)) == std::vector<std::string>{"alice", "bob"});
  CHECK(names(*usage_top(database, Ranking::kCpu, kNewYear, 1)) == std::vector<std::string>{"alice"});
  CHECK(usage_top(database, Ranking::kIo, kNewYear, 10)->empty());

  // Without the minutes of that time, the hour that it falls in counts whole.
  Retention short_retention;
  short_retention.minutes = 2h;
  history.set_retention(short_retention);
  for (int call = 0; call < 84 * 6; ++call) REQUIRE(history.prune(end).ok());
  CHECK(query(directory.file(), "SELECT min(start) FROM minutes") ==
        std::chrono::duration_cast<std::chrono::seconds>((end - 2h).time_since_epoch()).count());
  CHECK(since(end - 61min) == 61);
  CHECK(since(end - 150min) == 180);
  CHECK(since(kNewYear) == 84 * 60);
}

TEST_CASE("those who use most of each kind") {
  const TempDir directory;
  Store store(directory.file());
  History history(store, {});
  history.record("cpu", kNewYear, sample(900, 1, 1, 1));
  history.record("memory", kNewYear, sample(1, 900, 2, 2));
  history.record("io", kNewYear, sample(2, 2, 900, 3));
  history.record("requests", kNewYear, sample(3, 3, 3, 900));
  REQUIRE(history.flush(kNewYear).ok());
  Database &database = **store.database(kNewYear);
  for (const auto &[ranking, first] :
       {std::pair{Ranking::kCpu, "cpu"}, std::pair{Ranking::kMemory, "memory"}, std::pair{Ranking::kIo, "io"},
        std::pair{Ranking::kRequests, "requests"}}) {
    const auto top = usage_top(database, ranking, kNewYear, 4);
    REQUIRE(top.ok());
    REQUIRE(top->size() == 4);
    CHECK((*top)[0].tenant == first);
  }
}

TEST_CASE("retention: what is past it goes, a bounded part at a time") {
  const TempDir directory;
  Store store(directory.file());
  History history(store, {.minutes = 1h, .hours = 24h, .days = std::chrono::days(3)});
  for (int hour = 0; hour < 24 * 6; ++hour) {
    history.record("alice", kNewYear + std::chrono::hours(hour), cpu(1));
    REQUIRE(history.flush(kNewYear).ok());
  }
  const Time now = kNewYear + 24h * 6;
  REQUIRE(history.prune(now).ok());
  CHECK(query(directory.file(), "SELECT count(*) FROM minutes") > 100);
  for (int call = 0; call < 24 * 6; ++call) REQUIRE(history.prune(now).ok());
  CHECK(query(directory.file(), "SELECT count(*) FROM minutes") == 1);
  CHECK(query(directory.file(), "SELECT count(*) FROM hours") == 24);
  CHECK(query(directory.file(), "SELECT count(*) FROM days") == 3);
  CHECK(query(directory.file(), "SELECT sum(cpu_user_us) FROM totals") == 24 * 6);
}

TEST_CASE("an hour of a thousand tenants is written and rolled up") {
  const TempDir directory;
  Store store(directory.file());
  History history(store, {});
  std::vector<std::string> tenants;
  for (int number = 0; number < 1000; ++number) tenants.push_back("tenant" + std::to_string(number));
  for (int minute = 0; minute < 60; ++minute) {
    const Time at = kNewYear + std::chrono::minutes(minute);
    for (std::size_t number = 0; number < tenants.size(); ++number)
      history.record(tenants[number], at, sample(number, 1024, 10, 1));
    REQUIRE(history.flush(at).ok());
  }
  const std::string file = directory.file();
  CHECK(query(file, "SELECT count(*) FROM minutes") == 60'000);
  CHECK(query(file, "SELECT count(*) FROM hours") == 1000);
  CHECK(query(file, "SELECT count(*) FROM days") == 1000);
  for (const std::string table : {"minutes", "hours", "days", "totals"}) {
    CAPTURE(table);
    CHECK(query(file, "SELECT sum(cpu_user_us) FROM " + table) == 60 * 499'500);
    CHECK(query(file, "SELECT sum(requests) FROM " + table) == 60'000);
  }
  const auto top = usage_top(**store.database(kNewYear), Ranking::kCpu, kNewYear + 30min, 3);
  REQUIRE(top.ok());
  CHECK(names(*top) == std::vector<std::string>{"tenant999", "tenant998", "tenant997"});
  CHECK((*top)[0].usage.counters.cpu_user_us == 30 * 999);
}
