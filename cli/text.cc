#include "cli/text.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/log.h"
#include "policies/units.h"

namespace paddock::cli {

std::string printable(std::string_view text, std::size_t limit) {
  const bool plain = !text.empty() && text.size() <= limit && text.front() != ' ' && text.back() != ' ' &&
                     std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  return plain ? std::string(text) : log::quoted(text, limit);
}

std::string table(const std::vector<std::vector<std::string>> &rows) {
  std::vector<std::size_t> widths;
  for (const auto &row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max({widths[i], row[i].size(), std::size_t{1}});
  }
  std::string out;
  for (const auto &row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = row[i].empty() ? "-" : row[i];
      out += cell;
      if (i + 1 < row.size()) out.append(widths[i] + 2 - cell.size(), ' ');
    }
    out += '\n';
  }
  return out;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char *, 5> kUnits = {"B", "K", "M", "G", "T"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < kUnits.size()) {
    size /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 || size >= 100 ? "%.0f%s" : "%.1f%s", size, kUnits[unit]);
  return text.data();
}

std::string duration_text(std::chrono::milliseconds duration) {
  using std::chrono::milliseconds;
  std::int64_t unit = 1;
  // What is below the second unit is dropped.
  for (const auto &[from, rounded] :
       {std::pair{86'400'000, 3'600'000}, {3'600'000, 60'000}, {60'000, 1000}, {1000, 1}})
    if (duration.count() >= from) {
      unit = rounded;
      break;
    }
  return policies::format_duration(milliseconds(duration.count() / unit * unit));
}

std::string time_text(std::int64_t unix_time) {
  const auto seconds = static_cast<time_t>(unix_time);
  tm parts{};
  std::array<char, 64> text{};
  if (::localtime_r(&seconds, &parts) == nullptr ||
      std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S%z", &parts) == 0)
    return std::to_string(unix_time);
  return text.data();
}

std::optional<std::int64_t> parse_time(std::string_view text, std::int64_t now) {
  if (const auto duration = policies::parse_duration(text)) return now + duration->count() / 1000;
  const std::string copy(text);
  for (const char *format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    tm parts{};
    const char *rest = ::strptime(copy.c_str(), format, &parts);
    if (rest == nullptr) continue;
    const std::string_view zone(rest);
    parts.tm_isdst = -1;
    if (zone == "Z") return ::timegm(&parts);
    if (zone.empty()) return ::mktime(&parts);
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_past(std::string_view text, std::int64_t now) {
  if (const auto duration = policies::parse_duration(text))
    return std::max<std::int64_t>(now - duration->count() / 1000, 0);
  const auto time = parse_time(text, now);
  if (!time || *time > now || *time < 0) return std::nullopt;
  return time;
}

}  // namespace paddock::cli
