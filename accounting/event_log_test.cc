#include "accounting/event_log.h"

#include <catch2/catch.hpp>

#include "accounting/accounting_test.h"
#include "accounting/snapshot.h"

using namespace paddock;
using namespace paddock::accounting;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

Event event(EventKind kind, const std::string &tenant, Time time, const std::string &text = "") {
  return {0, time, tenant, kind, "", text, ""};
}

std::vector<std::string> texts(const Result<std::vector<Event>> &events) {
  REQUIRE(events.ok());
  std::vector<std::string> all;
  for (const Event &each : *events) all.push_back(each.text);
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("every kind of event has a name that leads back to it") {
  for (int number = 0; number <= static_cast<int>(EventKind::kEventsLost); ++number) {
    const auto kind = static_cast<EventKind>(number);
    CHECK(event_kind(to_string(kind)) == kind);
  }
  CHECK_FALSE(event_kind("oom"));
  CHECK(is_durable(EventKind::kBlock));
  CHECK_FALSE(is_durable(EventKind::kStart));
}

TEST_CASE("an event that matters is on disk at once, starts and stops with the next flush, in order") {
  const TempDir directory;
  Store store(directory.file());
  EventLog log(store, {});
  const auto stored = [&] { return query(directory.file(), "SELECT count(*) FROM events"); };
  REQUIRE(store.database(kNewYear).ok());

  CHECK(log.append(event(EventKind::kStart, "alice", kNewYear, "1")).value() == EventLog::Outcome::kPending);
  CHECK(stored() == 0);
  CHECK(log.append(event(EventKind::kOomKill, "alice", kNewYear + 1s, "2")).value() ==
        EventLog::Outcome::kWritten);
  CHECK(stored() == 2);
  CHECK(log.last_id() == 2);
  CHECK(log.append(event(EventKind::kStop, "alice", kNewYear + 2s, "3")).value() ==
        EventLog::Outcome::kPending);
  REQUIRE(log.flush(kNewYear + 3s).ok());
  CHECK(stored() == 3);
  CHECK(log.append(event(EventKind::kStart, "bob", kNewYear + 4s, "4")).value() ==
        EventLog::Outcome::kPending);
  CHECK(texts(log.list({}, kNewYear + 4s)) == Texts{"1", "2", "3", "4"});
}

TEST_CASE("events are listed by id, time, tenant and kind, and followed by id") {
  const TempDir directory;
  Store store(directory.file());
  EventLog log(store, {});
  REQUIRE(log.append(event(EventKind::kStart, "alice", kNewYear, "a-start")).ok());
  REQUIRE(log.append(event(EventKind::kOomKill, "alice", kNewYear + 1min, "a-oom")).ok());
  REQUIRE(log.append(event(EventKind::kBlock, "bob", kNewYear + 2min, "b-block")).ok());
  REQUIRE(log.append(event(EventKind::kCrash, "bob", kNewYear + 3min, "b-crash")).ok());
  const Time now = kNewYear + 5min;
  const auto list = [&](const EventFilter &filter) { return texts(log.list(filter, now)); };
  CHECK(list({}) == Texts{"a-start", "a-oom", "b-block", "b-crash"});
  CHECK(list({.since = kNewYear + 1min}) == Texts{"a-oom", "b-block", "b-crash"});
  CHECK(list({.since = kNewYear + 1min, .until = kNewYear + 3min}) == Texts{"a-oom", "b-block"});
  CHECK(list({.tenants = Names{"alice"}}) == Texts{"a-start", "a-oom"});
  CHECK(list({.tenants = Names{""}}).empty());
  CHECK(list({.tenants = Names{}}).empty());
  CHECK(list({.tenants = Names{"alice", "bob"}}) == list({}));
  CHECK(list({.kinds = {EventKind::kBlock, EventKind::kOomKill}}) == Texts{"a-oom", "b-block"});
  CHECK(list({.tenants = Names{"bob"}, .kinds = {EventKind::kBlock}}) == Texts{"b-block"});
  CHECK(list({.limit = 2}) == Texts{"a-start", "a-oom"});
  CHECK(list({.limit = 2, .newest = true}) == Texts{"b-block", "b-crash"});
  CHECK(list({.after_id = 3}) == Texts{"b-crash"});
  const std::uint64_t seen = log.last_id();
  CHECK(list({.after_id = seen}).empty());
  REQUIRE(log.append(event(EventKind::kUnblock, "bob", now, "b-unblock")).ok());
  CHECK(list({.after_id = seen}) == Texts{"b-unblock"});
}

TEST_CASE("all of an event comes back, hostile bytes included, within its bounds") {
  const TempDir directory;
  Store store(directory.file());
  EventLog log(store, {});
  Event hostile = event(EventKind::kOomKill, "alice", kNewYear,
                        std::string("\x1b]0;x\x07'; DROP TABLE events; \0--\xff", 31));
  hostile.actor = "kernel";
  hostile.snapshot = R"({"a":1})";
  REQUIRE(log.append(hostile).ok());
  Event large = event(EventKind::kBlock, std::string(5000, 't'), kNewYear, std::string(1 << 20, 'x'));
  large.actor = std::string(5000, 'a');
  large.snapshot = std::string(Event::kMaxSnapshot + 1, '{');
  REQUIRE(log.append(large).ok());

  const auto list = log.list({}, kNewYear);
  REQUIRE(list.ok());
  REQUIRE(list->size() == 2);
  hostile.id = 1;
  CHECK((*list)[0] == hostile);
  CHECK((*list)[1].tenant.size() == Event::kMaxTenant);
  CHECK((*list)[1].actor.size() == Event::kMaxActor);
  CHECK((*list)[1].text.size() == Event::kMaxText);
  CHECK((*list)[1].snapshot.empty());
}

TEST_CASE("ids are never given twice, restarts and removals notwithstanding") {
  const TempDir directory;
  std::uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    Store store(directory.file());
    EventLog log(store, {.count = 1, .per_tenant = 1, .age = 1h});
    REQUIRE(log.append(event(EventKind::kOomKill, "alice", kNewYear)).ok());
    CHECK(log.last_id() > last);
    last = log.last_id();
    REQUIRE(log.prune(kNewYear + 2h).ok());
    CHECK(log.list({}, kNewYear)->empty());
  }
}

TEST_CASE("a flood of one kind from one tenant is thinned, and says how great it was") {
  const TempDir directory;
  Store store(directory.file());
  EventLog log(store, {});
  Time now = kNewYear;
  const auto oom = [&](const std::string &tenant) {
    return log.append(event(EventKind::kOomKill, tenant, now)).value();
  };
  std::uint32_t written = 0;
  for (int number = 0; number < 1000; ++number) {
    now += 1ms;
    if (oom("mallory") == EventLog::Outcome::kWritten) ++written;
  }
  CHECK(written == EventLog::kFloodBurst);
  // Others, other kinds, and what the admin does are not concerned.
  CHECK(oom("alice") == EventLog::Outcome::kWritten);
  CHECK(log.append(event(EventKind::kCrash, "mallory", now)).value() == EventLog::Outcome::kWritten);
  for (int number = 0; number < 100; ++number)
    REQUIRE(log.append(event(EventKind::kKill, "mallory", now)).value() == EventLog::Outcome::kWritten);

  now += EventLog::kFloodInterval;
  CHECK(oom("mallory") == EventLog::Outcome::kWritten);
  CHECK(oom("mallory") == EventLog::Outcome::kSuppressed);
  const auto list = log.list({.tenants = Names{"mallory"}, .kinds = {EventKind::kOomKill}}, now);
  REQUIRE(list.ok());
  REQUIRE(list->size() == EventLog::kFloodBurst + 1);
  CHECK(list->back().text.find("980 more") != std::string::npos);

  // The end of the flood is told without a later event.
  now += EventLog::kFloodInterval;
  REQUIRE(log.prune(now).ok());
  const auto end = log.list({.after_id = list->back().id, .tenants = Names{"mallory"}}, now);
  REQUIRE(end.ok());
  REQUIRE(end->size() == 1);
  CHECK(end->front().text.find("1 more") != std::string::npos);
}

TEST_CASE("retention by count: what tenants cause goes, oldest first, and only the greatest one's own") {
  const TempDir directory;
  Store store(directory.file());
  EventLog log(store, {.count = 100, .per_tenant = 10, .age = 1000h});
  Time now = kNewYear;
  REQUIRE(log.append(event(EventKind::kBlock, "mallory", now, "by the admin")).ok());
  REQUIRE(log.append(event(EventKind::kOomKill, "alice", now, "alice")).ok());
  for (int number = 0; number < 50; ++number) {
    now += EventLog::kFloodInterval;
    REQUIRE(log.append(event(EventKind::kOomKill, "mallory", now, std::to_string(number))).ok());
  }
  REQUIRE(log.prune(now).ok());
  auto left = texts(log.list({}, now));
  REQUIRE(left.size() == 12);
  CHECK(left[0] == "by the admin");
  CHECK(left[1] == "alice");
  CHECK(left[2] == "40");

  log.set_retention({.count = 5, .per_tenant = 1000, .age = 1000h});
  REQUIRE(log.prune(now).ok());
  CHECK(texts(log.list({}, now)) == Texts{"by the admin", "45", "46", "47", "48", "49"});
}

TEST_CASE("retention by age") {
  const TempDir directory;
  Store store(directory.file());
  EventLog log(store, {.age = 24h});
  REQUIRE(log.append(event(EventKind::kBlock, "alice", kNewYear, "old")).ok());
  REQUIRE(log.append(event(EventKind::kBlock, "alice", kNewYear + 10h, "new")).ok());
  REQUIRE(log.prune(kNewYear + 25h).ok());
  CHECK(texts(log.list({}, kNewYear + 25h)) == Texts{"new"});
}

TEST_CASE("while nothing can be written, memory holds what matters and counts what it drops") {
  const TempDir directory;
  Store store(directory.path + "/later/history.db");
  EventLog log(store, {});
  const Time now = kNewYear;
  CHECK_FALSE(log.append(event(EventKind::kBlock, "alice", now, "kept")).ok());
  for (std::size_t number = 0; number < EventLog::kMaxPending + 9; ++number)
    REQUIRE(log.append(event(EventKind::kStart, "t" + std::to_string(number), now, "start")).ok());
  CHECK_FALSE(log.flush(now).ok());
  std::filesystem::create_directory(directory.path + "/later");
  REQUIRE(log.flush(now + 2s).ok());
  const auto list = log.list({.limit = 1'000'000}, now + 2s);
  REQUIRE(list.ok());
  CHECK(list->size() == EventLog::kMaxPending + 1);
  CHECK(list->front().text == "kept");
  CHECK(list->back().kind == EventKind::kEventsLost);
  CHECK(list->back().text.starts_with("10 events"));
}

TEST_CASE("events of a kind that this version does not know are left out") {
  const TempDir directory;
  Store store(directory.file());
  EventLog log(store, {});
  REQUIRE(log.append(event(EventKind::kBlock, "alice", kNewYear, "known")).ok());
  REQUIRE((*store.database(kNewYear))
              ->execute("INSERT INTO events(time, tenant, kind, actor, text, snapshot) "
                        "VALUES(0, 'alice', 'from-the-future', '', 'unknown', '')")
              .ok());
  CHECK(texts(log.list({}, kNewYear)) == Texts{"known"});
}

TEST_CASE("texts become JSON strings whatever their bytes") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", R"("")"},
      {"plain", R"("plain")"},
      {"a\"b\\c", R"("a\"b\\c")"},
      {std::string("\0\n\x1b\x7f", 4), R"("\u0000\u000a\u001b\u007f")"},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb4", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb4\""},
      {"\xff", R"("\ufffd")"},
      {"\xc3", R"("\ufffd")"},                                // cut short
      {"\xc0\xaf", R"("\ufffd\ufffd")"},                      // overlong
      {"\xe0\x80\xaf", R"("\ufffd\ufffd\ufffd")"},            // overlong
      {"\xed\xa0\x80", R"("\ufffd\ufffd\ufffd")"},            // a surrogate
      {"\xf4\x90\x80\x80", R"("\ufffd\ufffd\ufffd\ufffd")"},  // past U+10FFFF
  };
  for (const auto &[text, json] : cases) CHECK(json_string(text) == json);
  CHECK(json_string("abcdef", 3) == R"("abc")");
}

TEST_CASE("a snapshot is bounded, and JSON that SQLite reads") {
  Snapshot snapshot;
  snapshot.gauges.memory_bytes = 64 << 20;
  snapshot.gauges.io_full_avg10 = 12.345;
  snapshot.processes.push_back({17, "php: \"evil\"\n\xff", 'R', 1024, 50});
  snapshot.requests.push_back({"GET", "/a?b=\x01", "/home/alice/index.php", 1500ms});
  const std::string json = snapshot.to_json();
  CHECK(json.find(R"("title":"php: \"evil\"\u000a\ufffd")") != std::string::npos);
  CHECK(json.find(R"("age_ms":1500)") != std::string::npos);

  Snapshot huge;
  huge.process_count = 10'000;
  huge.processes.resize(10'000, {1, std::string(4096, '\x01'), '\xff', 1, 1});
  huge.requests.resize(256,
                       {std::string(500, '\x01'), std::string(500, '\x01'), std::string(500, '\xff'), 1h});
  const TempDir directory;
  Store store(directory.file());
  Database &database = **store.database(kNewYear);
  const auto read = [&](const std::string &text, const std::string &path) {
    const auto statement = database.prepare("SELECT json_valid(?1), json_extract(?1, ?2)");
    REQUIRE(statement.ok());
    REQUIRE((*statement)->bind(std::string_view(text)).bind(std::string_view(path)).step().value());
    REQUIRE((*statement)->integer(0) == 1);
    const std::string value = (*statement)->text(1);
    (*statement)->reset();
    return value;
  };
  CHECK(read(json, "$.memory_bytes") == "67108864");
  CHECK(read(json, "$.io_full_avg10") == "12.35");
  CHECK(read(json, "$.requests[0].script") == "/home/alice/index.php");
  CHECK(read(json, "$.process_count") == "1");
  CHECK(huge.to_json().size() < Event::kMaxSnapshot);
  CHECK(read(huge.to_json(), "$.process_count") == "10000");
  CHECK(read(huge.to_json(), "$.processes[20].pid") == "1");
  CHECK(read(huge.to_json(), "$.request_count") == "256");
  CHECK(read(huge.to_json(), "$.requests[5].age_ms") == "3600000");
  huge.processes.assign(10'000, {1, "php", 'R', 1, 1});
  CHECK(read(huge.to_json(), "$.processes[63].pid") == "1");
  CHECK(read(huge.to_json(), "$.processes[64].pid").empty());
}
