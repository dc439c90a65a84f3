// An SQLite database file, its statements and transactions. The only file that knows sqlite3.h.
//
// Errors carry SQLite's own text, and as code the errno that says the same: ENOSPC disk full, EBADMSG the
// file is damaged or is no database, EBUSY somebody else holds it, EROFS, EIO, EACCES.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace paddock::accounting {

class Statement {
 public:
  // Sets the next parameter. Text is copied.
  Statement &bind(std::int64_t value);
  Statement &bind(std::uint64_t value);  // above the largest std::int64_t: that
  Statement &bind(std::string_view value);
  Statement &bind_null();

  // To the next row; false: there is none, and the statement is ready to be bound again.
  [[nodiscard]] Result<bool> step();
  // For statements without rows: runs it, ready to be bound again.
  Result<void> run();
  // Ends a statement of which rows are left unread: until then it holds its snapshot of the file.
  void reset();

  // Columns of the current row. A negative number reads as 0: none of ours is.
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::uint64_t counter(int column) const;
  [[nodiscard]] std::string text(int column) const;

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt *statement) const;
  };
  explicit Statement(sqlite3_stmt *statement) : statement_(statement) {}

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  int next_parameter_ = 1;
  int bind_error_ = 0;
};

class Database {
 public:
  enum class Access : std::uint8_t { kReadWrite, kReadOnly };

  // Opens the file, or with kReadWrite makes it: mode 0600, never through a symbolic link. WAL; a commit
  // survives the death of the process at once and the death of the machine from the next checkpoint on, see
  // durable(). `patience`: how long a call waits for another process's lock.
  [[nodiscard]] static Result<Database> open(const std::string &path, Access access,
                                             std::chrono::milliseconds patience);

  Database(Database &&) = default;
  // A handle cannot be closed before its statements, as a memberwise assignment would.
  Database &operator=(Database &&) = delete;
  ~Database() = default;

  Result<void> execute(const std::string &sql);
  // The statement, compiled once and kept, reset: one use of a text at a time.
  [[nodiscard]] Result<Statement *> prepare(const std::string &sql);
  // Of a statement with one row and one column.
  [[nodiscard]] Result<std::int64_t> query_integer(const std::string &sql);
  [[nodiscard]] std::int64_t last_insert_id() const;
  // Rows that the last statement changed.
  [[nodiscard]] std::int64_t changes() const;

  // Whether commits wait for the disk (fsync of the log, and of all that was committed before). Not within a
  // transaction.
  Result<void> durable(bool wait);

 private:
  struct Closer {
    void operator()(sqlite3 *handle) const;
  };
  Database(std::unique_ptr<sqlite3, Closer> handle, std::string path)
      : handle_(std::move(handle)), path_(std::move(path)) {}
  [[nodiscard]] Error error(const std::string &attempt) const;

  std::unique_ptr<sqlite3, Closer> handle_;  // outlives the statements
  std::string path_;
  std::map<std::string, Statement, std::less<>> statements_;
};

// BEGIN IMMEDIATE … COMMIT; undone when it goes without commit().
class Transaction {
 public:
  [[nodiscard]] static Result<Transaction> begin(Database &database);
  // Error: nothing of it was kept.
  Result<void> commit();
  Transaction(Transaction &&other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction &operator=(Transaction &&) = delete;
  ~Transaction();

 private:
  explicit Transaction(Database &database) : database_(&database) {}
  Database *database_;
};

}  // namespace paddock::accounting
