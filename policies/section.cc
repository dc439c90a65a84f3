#include "policies/section.h"

#include <algorithm>
#include <climits>

#include "base/log.h"
#include "policies/units.h"

namespace paddock::policies {
namespace {

std::string list(const std::vector<std::string> &words) {
  std::string out;
  for (const auto &word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string range(std::string what, const std::string &least, const std::string &most) {
  return std::move(what) + " from " + least + " to " + most;
}

}  // namespace

bool is_plain_absolute_path(std::string_view path) {
  if (path.empty() || path[0] != '/' || path.size() >= PATH_MAX) return false;
  if (std::any_of(path.begin(), path.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return false;
  if (path == "/") return true;
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

const Entry *Section::find(std::string_view key) const {
  for (const auto &entry : table_)
    if (entry.key == key) return &entry;
  return nullptr;
}

const Entry *Section::ask(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return find(key);
}

Position Section::position_of(std::string_view key) const {
  const Entry *entry = find(key);
  return entry == nullptr ? where_ : entry->where;
}

std::string Section::path_of(std::string_view key) const {
  if (key.empty()) return path_;
  return (path_.empty() ? "" : path_ + ".") + (is_bare_key(key) ? std::string(key) : log::quoted(key, 64));
}

void Section::fail(std::string_view key, std::string message, std::string expected, std::string found,
                   std::string nearest) {
  fail_at(position_of(key), key, std::move(message), std::move(expected), std::move(found),
          std::move(nearest));
}

void Section::fail_at(Position at, std::string_view key, std::string message, std::string expected,
                      std::string found, std::string nearest) {
  diagnostics_.push_back({Severity::kError, location(at), path_of(key), std::move(message),
                          std::move(expected), std::move(found), std::move(nearest)});
}

void Section::warn(std::string_view key, std::string message) {
  diagnostics_.push_back({Severity::kWarning, location_of(key), path_of(key), std::move(message)});
}

std::nullopt_t Section::wrong(const Entry &entry, std::string expected) {
  fail_at(entry.value.where, entry.key, "wrong value", std::move(expected), entry.value.describe());
  return std::nullopt;
}

std::optional<std::string> Section::text(std::string_view key) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto *value = entry->value.as<std::string>();
  if (value == nullptr) return wrong(*entry, "a string");
  // A NUL would end the text early wherever the kernel or PHP takes it.
  if (value->find('\0') != std::string::npos) return wrong(*entry, "a string without a NUL character");
  return *value;
}

std::optional<bool> Section::boolean(std::string_view key) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto *value = entry->value.as<bool>();
  if (value == nullptr) return wrong(*entry, "true or false");
  return *value;
}

std::optional<std::uint64_t> Section::integer(std::string_view key, std::uint64_t least, std::uint64_t most) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto *value = entry->value.as<std::int64_t>();
  if (value == nullptr || *value < 0 || static_cast<std::uint64_t>(*value) < least ||
      static_cast<std::uint64_t>(*value) > most)
    return wrong(*entry, range("an integer", std::to_string(least), std::to_string(most)));
  return static_cast<std::uint64_t>(*value);
}

std::optional<std::uint64_t> Section::bytes(std::string_view key, std::uint64_t least, std::uint64_t most) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  std::optional<std::uint64_t> value;
  if (const auto *text = entry->value.as<std::string>()) value = parse_bytes(*text);
  if (const auto *number = entry->value.as<std::int64_t>(); number != nullptr && *number >= 0)
    value = static_cast<std::uint64_t>(*number);
  if (!value || *value < least || *value > most)
    return wrong(*entry, range("a size such as \"64M\"", format_bytes(least), format_bytes(most)));
  return value;
}

std::optional<std::chrono::milliseconds> Section::duration(std::string_view key,
                                                           std::chrono::milliseconds least,
                                                           std::chrono::milliseconds most) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  std::optional<std::chrono::milliseconds> value;
  if (const auto *text = entry->value.as<std::string>()) value = parse_duration(*text);
  // A bare number has no unit, but nothing is nothing in each.
  if (const auto *number = entry->value.as<std::int64_t>(); number != nullptr && *number == 0)
    value = std::chrono::milliseconds(0);
  if (!value || *value < least || *value > most)
    return wrong(
        *entry, range("a duration such as \"30s\" or \"5m\"", format_duration(least), format_duration(most)));
  return value;
}

std::optional<double> Section::figure(std::string_view key, bool bytes) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  std::optional<double> value;
  if (const auto *number = entry->value.as<std::int64_t>()) value = static_cast<double>(*number);
  if (const auto *number = entry->value.as<double>()) value = *number;
  if (const auto *text = entry->value.as<std::string>(); text != nullptr && bytes)
    if (const auto size = parse_bytes(*text)) value = static_cast<double>(*size);
  // An infinity or NaN, which TOML has, is no figure.
  if (!value || !(*value >= 0) || *value > 1e18)
    return wrong(*entry, bytes ? "a number, or a size such as \"64M\"" : "a number from 0 on");
  return value;
}

std::size_t Section::complaints() const {
  return static_cast<std::size_t>(
      std::count_if(diagnostics_.begin(), diagnostics_.end(),
                    [](const Diagnostic &found) { return found.severity == Severity::kError; }));
}

std::optional<std::uint32_t> Section::percent(std::string_view key, std::uint32_t least, std::uint32_t most) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  std::optional<std::uint32_t> value;
  if (const auto *text = entry->value.as<std::string>()) value = parse_percent(*text);
  if (!value || *value < least || *value > most)
    return wrong(*entry, range("a share of one core such as \"150%\"", std::to_string(least) + "%",
                               std::to_string(most) + "%"));
  return value;
}

std::optional<std::size_t> Section::choice(std::string_view key, const std::vector<std::string> &choices) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto *value = entry->value.as<std::string>();
  if (value != nullptr) {
    const auto found = std::find(choices.begin(), choices.end(), *value);
    if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  }
  fail_at(entry->value.where, key, "wrong value", "one of " + list(choices), entry->value.describe(),
          value == nullptr ? std::string() : nearest_of(*value, choices));
  return std::nullopt;
}

std::optional<std::string> Section::path(std::string_view key) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto *value = entry->value.as<std::string>();
  if (value != nullptr) {
    std::string_view plain = *value;
    if (plain.size() > 1 && plain.back() == '/') plain.remove_suffix(1);
    if (is_plain_absolute_path(plain)) return std::string(plain);
  }
  return wrong(*entry, "an absolute path without \".\" and \"..\"");
}

std::optional<std::vector<std::pair<std::string, Position>>> Section::texts(std::string_view key) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto *items = entry->value.as<Array>();
  if (items == nullptr) return wrong(*entry, "an array of strings");
  std::vector<std::pair<std::string, Position>> out;
  for (const auto &item : *items) {
    const auto *value = item.as<std::string>();
    if (value == nullptr || value->find('\0') != std::string::npos) {
      fail_at(item.where, key, "wrong value", "an array of strings", item.describe());
    } else {
      out.emplace_back(*value, item.where);
    }
  }
  return out;
}

const Array *Section::array(std::string_view key) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return nullptr;
  const auto *value = entry->value.as<Array>();
  if (value == nullptr) wrong(*entry, "an array");
  return value;
}

const Table *Section::table(std::string_view key) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return nullptr;
  const auto *value = entry->value.as<Table>();
  if (value == nullptr) wrong(*entry, "a table");
  return value;
}

std::vector<const Value *> Section::tables(std::string_view key) {
  std::vector<const Value *> out;
  const Entry *entry = ask(key);
  if (entry == nullptr) return out;
  const auto *items = entry->value.as<Array>();
  if (items == nullptr) {
    wrong(*entry, "tables, each under [[" + path_of(key) + "]]");
    return out;
  }
  for (const auto &item : *items) {
    if (item.as<Table>() == nullptr) {
      fail_at(item.where, key, "wrong value", "tables, each under [[" + path_of(key) + "]]", item.describe());
    } else {
      out.push_back(&item);
    }
  }
  return out;
}

bool Section::is_max(std::string_view key) {
  const Entry *entry = ask(key);
  if (entry == nullptr) return false;
  const auto *value = entry->value.as<std::string>();
  return value != nullptr && *value == "max";
}

void Section::finish() {
  for (const auto &entry : table_) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const std::string nearest = nearest_of(entry.key, known_);
    const bool dotted_name =
        nearest.empty() && entry.value.as<Table>() != nullptr && path_.find('.') != path_.npos;
    fail(entry.key,
         dotted_name ? "unknown key (a name with a dot in it is written in quotes)" : "unknown key",
         nearest.empty() ? "one of " + list(known_) : std::string(), {}, nearest);
  }
}

}  // namespace paddock::policies
