// A TOML file as a tree that knows where everything was written. The only code that knows toml++ is behind
// this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policies/diagnostic.h"

namespace paddock::policies {

struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  auto operator<=>(const Position &) const = default;
};

struct Entry;
struct Value;
using Array = std::vector<Value>;
using Table = std::vector<Entry>;  // in the order of the file
struct DateOrTime {};              // TOML has them, no key of ours takes one

struct Value {
  Position where;
  std::variant<std::string, std::int64_t, double, bool, DateOrTime, Array, Table> data;

  template <typename T>
  [[nodiscard]] const T *as() const {
    return std::get_if<T>(&data);
  }
  // For "found …": `string "abc"`, `integer 5`, `a table`. Text is escaped and cut.
  [[nodiscard]] std::string describe() const;
};

struct Entry {
  std::string key;
  Position where;
  Value value;
};

// Parses TOML 1.0. A syntax error (the first: what follows it cannot be trusted) is added to `diagnostics`,
// and the table is empty.
[[nodiscard]] Table parse_document(std::string_view text, const std::string &file,
                                   std::vector<Diagnostic> &diagnostics);

// Whether TOML would need quotes around `key`.
[[nodiscard]] bool is_bare_key(std::string_view key);

}  // namespace paddock::policies
