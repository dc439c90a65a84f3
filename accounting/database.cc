#include "accounting/database.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <limits>

#include "base/file.h"

namespace paddock::accounting {
namespace {

int errno_of(int code, int system_errno) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return EBUSY;
    case SQLITE_READONLY:
      return EROFS;
    case SQLITE_NOMEM:
      return ENOMEM;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return EACCES;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return system_errno != 0 ? system_errno : EIO;
    default:
      return EINVAL;
  }
}

Error sqlite_error(const std::string &attempt, sqlite3 *handle, int code) {
  return errno_error(
      attempt + " (SQLite: " + (handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code)) + ")",
      errno_of(code, handle != nullptr ? sqlite3_system_errno(handle) : 0));
}

}  // namespace

void Statement::Finalizer::operator()(sqlite3_stmt *statement) const {
  sqlite3_finalize(statement);
}

Statement &Statement::bind(std::int64_t value) {
  bind_error_ |= sqlite3_bind_int64(statement_.get(), next_parameter_++, value);
  return *this;
}

Statement &Statement::bind(std::uint64_t value) {
  constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();
  return bind(value > static_cast<std::uint64_t>(kLargest) ? kLargest : static_cast<std::int64_t>(value));
}

Statement &Statement::bind(std::string_view value) {
  // A null pointer would bind NULL, which an empty text is not.
  bind_error_ |=
      sqlite3_bind_text64(statement_.get(), next_parameter_++, value.empty() ? "" : value.data(),
                          value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);  // NOLINT(performance-no-int-to-ptr)
  return *this;
}

Statement &Statement::bind_null() {
  bind_error_ |= sqlite3_bind_null(statement_.get(), next_parameter_++);
  return *this;
}

Result<bool> Statement::step() {
  sqlite3 *handle = sqlite3_db_handle(statement_.get());
  if (bind_error_ != 0) {
    reset();
    return Error{std::string("bind values to ") + sqlite3_sql(statement_.get()), EINVAL};
  }
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  // The error's text belongs to the connection and goes with the reset.
  Error failure = sqlite_error(std::string("run ") + sqlite3_sql(statement_.get()), handle, code);
  reset();
  return failure;
}

Result<void> Statement::run() {
  PADDOCK_TRY(const bool row, step());
  if (row) reset();
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  next_parameter_ = 1;
  bind_error_ = 0;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::uint64_t Statement::counter(int column) const {
  const std::int64_t value = integer(column);
  return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

std::string Statement::text(int column) const {
  const auto *bytes = sqlite3_column_text(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char *>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

void Database::Closer::operator()(sqlite3 *handle) const {
  sqlite3_close(handle);
}

Error Database::error(const std::string &attempt) const {
  return sqlite_error(attempt, handle_.get(), sqlite3_extended_errcode(handle_.get()));
}

Result<Database> Database::open(const std::string &path, Access access, std::chrono::milliseconds patience) {
  if (access == Access::kReadWrite) {
    // SQLite would make it 0644. O_EXCL: a file that is there is not even opened, for closing a descriptor of
    // it would drop the locks of every other connection of this process (fcntl(2), "Advisory record
    // locking").
    auto fresh = open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (!fresh && fresh.error().code != EEXIST) return std::move(fresh).error();
  }
  sqlite3 *raw = nullptr;
  const int flags = (access == Access::kReadWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  std::unique_ptr<sqlite3, Closer> handle(raw);
  if (code != SQLITE_OK) return sqlite_error("open " + path, raw, code);
  sqlite3_busy_timeout(raw, static_cast<int>(patience.count()));
  // A damaged or planted file shall not be able to call functions through its schema.
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  Database database(std::move(handle), path);
  PADDOCK_CHECK(database.execute("PRAGMA foreign_keys = ON"));
  PADDOCK_CHECK(database.execute("PRAGMA secure_delete = OFF"));
  if (access == Access::kReadWrite) {
    PADDOCK_CHECK(database.execute("PRAGMA journal_mode = WAL"));
    PADDOCK_CHECK(database.execute("PRAGMA synchronous = NORMAL"));
    // Once grown, the log keeps its size; after a flood it is cut to this.
    PADDOCK_CHECK(database.execute("PRAGMA journal_size_limit = 16777216"));
  }
  return database;
}

Result<void> Database::execute(const std::string &sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error("run \"" + sql + "\" on " + path_);
  return {};
}

Result<Statement *> Database::prepare(const std::string &sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt *raw = nullptr;
    const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
    if (code != SQLITE_OK) return error("prepare \"" + sql + "\" on " + path_);
    found = statements_.emplace(sql, Statement(raw)).first;
  }
  found->second.reset();
  return &found->second;
}

Result<std::int64_t> Database::query_integer(const std::string &sql) {
  PADDOCK_TRY(Statement *const statement, prepare(sql));
  PADDOCK_TRY(const bool row, statement->step());
  const std::int64_t value = row ? statement->integer(0) : 0;
  if (row) statement->reset();
  return value;
}

std::int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(handle_.get());
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(handle_.get());
}

Result<void> Database::durable(bool wait) {
  return execute(wait ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

Result<Transaction> Transaction::begin(Database &database) {
  PADDOCK_CHECK(database.execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Result<void> Transaction::commit() {
  // On an error the destructor rolls back.
  PADDOCK_CHECK(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

Transaction::~Transaction() {
  // Fails where SQLite has already rolled back of itself (lang_transaction.html, "Response To Errors Within A
  // Transaction"): just as well.
  if (database_ != nullptr) (void)database_->execute("ROLLBACK");
}

}  // namespace paddock::accounting
