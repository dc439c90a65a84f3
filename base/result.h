// Result<T>: the value, or an Error that says what was attempted on which object and what came of it.
//
// For what can be expected to fail (system calls, input from outside). Exceptions come only from
// libraries and are turned into Errors where they are called.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace paddock {

// What was attempted ("open /run/paddock/x"), and the errno it failed with; errno 0: the attempt's text says
// it all.
struct Error {
  std::string attempt;
  int code = 0;

  // "open /run/paddock/x: No such file or directory"
  [[nodiscard]] std::string message() const;
};

// An Error with the errno of the call that has just failed.
[[nodiscard]] Error errno_error(std::string attempt);
// The same for a given errno value.
[[nodiscard]] inline Error errno_error(std::string attempt, int code) {
  return {std::move(attempt), code};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only when ok().
  T &value() & { return std::get<0>(state_); }
  const T &value() const & { return std::get<0>(state_); }
  // By value: a reference into a temporary would outlive it in `for (x : *call())`.
  T value() && { return std::get<0>(std::move(state_)); }
  T &operator*() & { return value(); }
  const T &operator*() const & { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T *operator->() { return &value(); }
  const T *operator->() const { return &value(); }

  // Only when not ok().
  Error &error() & { return std::get<1>(state_); }
  const Error &error() const & { return std::get<1>(state_); }
  Error &&error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  Error &error() & { return error_; }
  const Error &error() const & { return error_; }
  Error &&error() && { return std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace paddock

#define PADDOCK_CONCAT_INNER(a, b) a##b
#define PADDOCK_CONCAT(a, b) PADDOCK_CONCAT_INNER(a, b)

// PADDOCK_TRY(auto fd, open_file(path)): declares fd with the value, or returns the error to the caller.
#define PADDOCK_TRY(declaration, expression) \
  PADDOCK_TRY_NAMED(PADDOCK_CONCAT(paddock_try_, __LINE__), declaration, expression)
#define PADDOCK_TRY_NAMED(name, declaration, expression) \
  auto name = (expression);                              \
  if (!name.ok()) return std::move(name).error();        \
  declaration = std::move(name).value()

// PADDOCK_CHECK(expression): returns the error of a Result<void> to the caller.
#define PADDOCK_CHECK(expression)                                                                        \
  do {                                                                                                   \
    if (auto paddock_check = (expression); !paddock_check.ok()) return std::move(paddock_check).error(); \
  } while (false)
