#include "accounting/store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "accounting/schema.h"

namespace paddock::accounting {
namespace {

constexpr std::chrono::milliseconds kRetry = std::chrono::seconds(1);
// The supervisor waits meanwhile, and everybody's requests with it.
constexpr std::chrono::milliseconds kPatience{100};
// A check reads the whole file: of this size in a fraction of a second. Damage in larger ones shows when the
// damaged page is used.
constexpr off_t kCheckedWhole = off_t{32} << 20;

bool exists(const std::string &path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

std::string timestamp(Time now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return {text, length};
}

}  // namespace

Result<Database *> Store::database(Time now) {
  if (database_) return &*database_;
  // A clock that was set back must not keep it closed.
  if (last_error_ && now < retry_at_ && retry_at_ - now <= kRetry) return *last_error_;
  if (auto opened = open(now); !opened) {
    last_error_ = opened.error();
    retry_at_ = now + kRetry;
    return std::move(opened).error();
  }
  last_error_.reset();
  return &*database_;
}

Result<void> Store::open(Time now) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    PADDOCK_CHECK(move_aside(Error{"open " + path_ + ": not a regular file"}, now));
  auto opened = open_and_check(now);
  if (!opened && opened.error().code == EBADMSG) {
    PADDOCK_CHECK(move_aside(std::move(opened).error(), now));
    opened = open_and_check(now);
  }
  if (!opened) database_.reset();
  return opened;
}

Result<void> Store::open_and_check(Time now) {
  database_.reset();
  PADDOCK_TRY(Database database, Database::open(path_, Database::Access::kReadWrite, kPatience));
  database_.emplace(std::move(database));
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0 && status.st_size <= kCheckedWhole) {
    PADDOCK_TRY(Statement *const check, database_->prepare("PRAGMA quick_check(1)"));
    PADDOCK_TRY(const bool row, check->step());
    if (row && check->text(0) != "ok")
      return errno_error("check " + path_ + " (" + check->text(0) + ")", EBADMSG);
    check->reset();
  }
  PADDOCK_CHECK(migrate(*database_, now));
  if (replaces_damaged_) {
    // Followers know ids of the old file: the new one's begin above them, since no host has had an event a
    // second all its life.
    PADDOCK_TRY(Statement *const seed,
                database_->prepare("INSERT INTO sqlite_sequence(name, seq) SELECT 'events', ? WHERE NOT "
                                   "EXISTS(SELECT 1 FROM sqlite_sequence WHERE name = 'events')"));
    PADDOCK_CHECK(seed->bind(std::int64_t{now.time_since_epoch().count() / 1000}).run());
    replaces_damaged_ = false;
  }
  ++generation_;
  return {};
}

void Store::failed(const Error &error, Time now) {
  if (error.code != EBADMSG || !database_) return;
  database_.reset();
  if (auto moved = move_aside(error, now); !moved) {
    last_error_ = std::move(moved).error();
    retry_at_ = now + kRetry;
  }
}

Result<void> Store::move_aside(Error cause, Time now) {
  database_.reset();
  const std::string wanted = path_ + ".corrupt-" + timestamp(now);
  std::string target = wanted;
  for (int n = 2; exists(target); ++n) target = wanted + "-" + std::to_string(n);
  if (::rename(path_.c_str(), target.c_str()) != 0)
    return errno_error("move the damaged " + path_ + " to " + target);
  // The log belongs to the file; beside a new one it would be taken for its own.
  if (::rename((path_ + "-wal").c_str(), (target + "-wal").c_str()) != 0 && errno != ENOENT)
    ::unlink((path_ + "-wal").c_str());
  ::unlink((path_ + "-shm").c_str());
  damage_ = Damage{std::move(cause), target};
  replaces_damaged_ = true;
  return {};
}

}  // namespace paddock::accounting
