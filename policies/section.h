// Reads one table of the config key by key, and complains about each that is wrong or unknown.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/document.h"

namespace paddock::policies {

class Section {
 public:
  // `path` is the table's own name ("plan.small"; empty for the file itself). All three references outlive
  // the Section.
  Section(const Table &table, Position where, std::string path, const std::string &file,
          std::vector<Diagnostic> &diagnostics)
      : table_(table), where_(where), path_(std::move(path)), file_(file), diagnostics_(diagnostics) {}

  // Each of these makes `key` a known one. nullopt: it is absent, or wrong (then a diagnostic says so).
  std::optional<std::string> text(std::string_view key);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::uint64_t> integer(std::string_view key, std::uint64_t least, std::uint64_t most);
  std::optional<std::uint64_t> bytes(std::string_view key, std::uint64_t least, std::uint64_t most);
  std::optional<std::chrono::milliseconds> duration(std::string_view key, std::chrono::milliseconds least,
                                                    std::chrono::milliseconds most);
  // A number from 0 on, or with `bytes` a size as well.
  std::optional<double> figure(std::string_view key, bool bytes);
  std::optional<std::uint32_t> percent(std::string_view key, std::uint32_t least, std::uint32_t most);
  // The index of the text in `choices`.
  std::optional<std::size_t> choice(std::string_view key, const std::vector<std::string> &choices);
  // An absolute path without "." or ".." in it; one slash at its end is dropped.
  std::optional<std::string> path(std::string_view key);
  std::optional<std::vector<std::pair<std::string, Position>>> texts(std::string_view key);
  // An array of whatever it holds.
  const Array *array(std::string_view key);
  const Table *table(std::string_view key);
  // [[key]]: the tables of an array.
  std::vector<const Value *> tables(std::string_view key);
  // Whether the key is there and says "max": the kernel's default, whatever an inherited plan set.
  bool is_max(std::string_view key);

  [[nodiscard]] std::size_t size() const { return table_.size(); }
  [[nodiscard]] const Entry *find(std::string_view key) const;
  // Where the key was written, or else the table.
  [[nodiscard]] Position position_of(std::string_view key) const;
  [[nodiscard]] Location location_of(std::string_view key) const { return location(position_of(key)); }
  [[nodiscard]] Location location(Position at) const { return {file_, at.line, at.column}; }
  [[nodiscard]] Location location() const { return location(where_); }
  // "plan.small.workers", quoted where TOML would need it.
  [[nodiscard]] std::string path_of(std::string_view key) const;
  // A section for a table inside this one.
  [[nodiscard]] Section inside(std::string_view key, const Table &table, Position where) const {
    return {table, where, path_of(key), file_, diagnostics_};
  }

  void fail(std::string_view key, std::string message, std::string expected = {}, std::string found = {},
            std::string nearest = {});
  void fail_at(Position at, std::string_view key, std::string message, std::string expected = {},
               std::string found = {}, std::string nearest = {});
  void warn(std::string_view key, std::string message);

  // How many errors there are, of this and all other sections.
  [[nodiscard]] std::size_t complaints() const;

  // Complains about every key that none of the calls above has asked for.
  void finish();

 private:
  const Entry *ask(std::string_view key);
  std::nullopt_t wrong(const Entry &entry, std::string expected);

  const Table &table_;
  Position where_;
  std::string path_;
  const std::string &file_;
  std::vector<Diagnostic> &diagnostics_;
  std::vector<std::string> known_;
};

// Whether a path begins with a slash and names the same thing to everybody: no "." or ".." or empty
// component, no control character, at most PATH_MAX.
[[nodiscard]] bool is_plain_absolute_path(std::string_view path);

}  // namespace paddock::policies
