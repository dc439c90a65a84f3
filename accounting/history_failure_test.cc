#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>

#include "accounting/accounting_test.h"
#include "accounting/event_log.h"
#include "accounting/history.h"
#include "base/file.h"
#include "base/process.h"

using namespace paddock;
using namespace paddock::accounting;
using namespace std::chrono_literals;

namespace {

constexpr int kTenants = 20;

constexpr const char *kFileVariable = "PADDOCK_TEST_FILE";
constexpr int kSaid = 3;

// A directory that is a filesystem of its own, in a mount namespace of this process.
class SmallFilesystem {
 public:
  explicit SmallFilesystem(const std::string &directory) : directory_(directory) {
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    REQUIRE(::mount("paddock-test", directory.c_str(), "tmpfs", MS_NODEV | MS_NOSUID, "size=1m") == 0);
  }
  ~SmallFilesystem() { ::umount2(directory_.c_str(), MNT_DETACH); }
  SmallFilesystem(const SmallFilesystem &) = delete;
  SmallFilesystem &operator=(const SmallFilesystem &) = delete;

  void fill() const {
    const auto fd = open_file(directory_ + "/filler", O_WRONLY | O_CREAT, 0600);
    REQUIRE(fd.ok());
    const std::string block(4096, 'x');
    while (::write(fd->get(), block.data(), block.size()) > 0) {
    }
    REQUIRE(errno == ENOSPC);
  }
  void free() const { REQUIRE(::unlink((directory_ + "/filler").c_str()) == 0); }

 private:
  std::string directory_;
};

}  // namespace

// The program that the next test kills: records and flushes for ever, and says each flush that has returned.
TEST_CASE("writes until it is killed", "[.]") {
  const char *const file = std::getenv(kFileVariable);
  REQUIRE(file != nullptr);
  Store store(file);
  History history(store, {});
  EventLog events(store, {});
  REQUIRE(history.load(kNewYear).ok());
  for (std::uint64_t round = 1;; ++round) {
    const Time now = kNewYear + std::chrono::seconds(round * 7);
    for (int tenant = 0; tenant < kTenants; ++tenant)
      history.record("tenant" + std::to_string(tenant), now, cpu(1));
    REQUIRE(history.flush(now).ok());
    REQUIRE(events.append({0, now, "tenant0", EventKind::kRuleFired, "", "x", ""}).ok());
    REQUIRE(::write(kSaid, &round, sizeof round) == sizeof round);
  }
}

TEST_CASE("killed while it writes, the file opens clean and lacks nothing that was flushed") {
  const TempDir directory;
  std::minstd_rand random(20260101);
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  std::uint64_t last_event = 0;
  for (int round = 0; round < 15; ++round) {
    CAPTURE(round);
    int said[2];
    REQUIRE(::pipe2(said, O_CLOEXEC) == 0);
    UniqueFd reader(said[0]);
    UniqueFd writer(said[1]);
    // A fork without exec would do, were it not for sanitizers with threads of their own.
    SpawnOptions options;
    options.arguments = {"/proc/self/exe", "writes until it is killed"};
    options.environment = {kFileVariable + ("=" + directory.file())};
    options.fds = {{writer, kSaid}};
    const auto child = spawn(options);
    REQUIRE(child.ok());
    writer.reset();
    std::uint64_t flushed = 0;
    // Once it is at it, somewhere in the midst of one of the next writes.
    REQUIRE(::read(reader.get(), &flushed, sizeof flushed) == sizeof flushed);
    ::usleep(std::uniform_int_distribution<useconds_t>(0, 20'000)(random));
    REQUIRE(child->signal(SIGKILL).ok());
    pollfd ended{child->pidfd().get(), POLLIN, 0};
    REQUIRE(::poll(&ended, 1, 10'000) == 1);
    const auto status = child->try_reap();
    REQUIRE(status.ok());
    REQUIRE(status->has_value());
    REQUIRE((*status)->signaled);
    while (::read(reader.get(), &flushed, sizeof flushed) == sizeof flushed) {
    }
    least += flushed;

    Store store(directory.file());
    History history(store, {});
    EventLog events(store, {});
    REQUIRE(history.load(kNewYear).ok());
    CHECK_FALSE(store.take_damage());
    const std::uint64_t total = history.lifetime("tenant0").counters.cpu_user_us;
    most = total;
    CHECK(total >= least);
    CHECK(total <= least + 1);  // one flush may have gone unsaid
    least = total;
    const std::string file = directory.file();
    const auto sum = static_cast<std::int64_t>(total * kTenants);
    for (const std::string table : {"totals", "minutes", "hours", "days"}) {
      CAPTURE(table);
      CHECK(query(file, "SELECT sum(cpu_user_us) FROM " + table) == sum);
    }
    const auto check = (*store.database(kNewYear))->prepare("PRAGMA integrity_check");
    REQUIRE(check.ok());
    REQUIRE((*check)->step().value());
    CHECK((*check)->text(0) == "ok");
    (*check)->reset();
    const auto ids = events.list({.after_id = last_event, .limit = 1'000'000}, kNewYear);
    REQUIRE(ids.ok());
    CHECK(ids->size() >= flushed);
    if (!ids->empty()) last_event = ids->back().id;
  }
  CHECK(most > 15);
}

TEST_CASE("a full disk costs nothing once there is room again") {
  const TempDir directory;
  const SmallFilesystem disk(directory.path);
  Store store(directory.file());
  History history(store, {});
  EventLog events(store, {});
  REQUIRE(history.load(kNewYear).ok());
  history.record("before", kNewYear, cpu(1));
  REQUIRE(history.flush(kNewYear).ok());

  disk.fill();
  Time now = kNewYear;
  bool refused = false;
  for (int minute = 0; minute < 200; ++minute) {
    now += 1min;
    for (int tenant = 0; tenant < 20; ++tenant)
      history.record("tenant" + std::to_string(tenant), now, cpu(1));
    const auto flushed = history.flush(now);
    if (flushed) continue;
    refused = true;
    CHECK(flushed.error().code == ENOSPC);
  }
  REQUIRE(refused);
  const auto event = events.append({0, now, "tenant0", EventKind::kOomKill, "kernel", "while full", ""});
  REQUIRE_FALSE(event.ok());
  CHECK(event.error().code == ENOSPC);
  CHECK(history.lifetime("tenant3").counters.cpu_user_us == 200);
  CHECK_FALSE(store.take_damage());

  disk.free();
  REQUIRE(history.flush(now).ok());
  REQUIRE(events.flush(now).ok());
  for (const std::string table : {"totals", "minutes", "hours", "days"}) {
    CAPTURE(table);
    CHECK(query(directory.file(), "SELECT sum(cpu_user_us) FROM " + table) == 20 * 200 + 1);
  }
  const auto list = events.list({}, now);
  REQUIRE(list.ok());
  REQUIRE(list->size() == 1);
  CHECK((*list)[0].text == "while full");
}

TEST_CASE("a disk that is full from the start is waited for, and what it held is added") {
  const TempDir directory;
  const SmallFilesystem disk(directory.path);
  {
    Store store(directory.file());
    History history(store, {});
    history.record("alice", kNewYear, cpu(1000));
    REQUIRE(history.flush(kNewYear).ok());
  }
  const std::string hidden = directory.path + "/hidden";
  REQUIRE(::rename(directory.file().c_str(), hidden.c_str()) == 0);
  disk.fill();
  Store store(directory.file());
  History history(store, {});
  CHECK_FALSE(history.load(kNewYear).ok());
  history.record("alice", kNewYear, cpu(5));
  CHECK_FALSE(history.flush(kNewYear + 2s).ok());
  CHECK(history.lifetime("alice").counters.cpu_user_us == 5);

  disk.free();
  std::filesystem::remove(directory.file());
  REQUIRE(::rename(hidden.c_str(), directory.file().c_str()) == 0);
  REQUIRE(history.flush(kNewYear + 4s).ok());
  CHECK(history.lifetime("alice").counters.cpu_user_us == 1005);
  CHECK(query(directory.file(), "SELECT sum(cpu_user_us) FROM totals") == 1005);
}
