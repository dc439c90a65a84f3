// Text for people: aligned tables, times, and nothing that drives a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace paddock::cli {

// `text` as it is where it is plain ASCII without spaces at its ends; else quoted and escaped
// (log::quoted()).
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 512);

// Columns two spaces apart, wide enough for their widest cell; the last is not filled up. The first row is
// the header. An empty cell is "-", so that every line has as many words as the header, for awk.
[[nodiscard]] std::string table(const std::vector<std::vector<std::string>> &rows);

// "45.3M": three digits at the least that tell sizes apart.
[[nodiscard]] std::string size_text(std::uint64_t bytes);
// The two largest units of a duration: "2h5m", "63ms".
[[nodiscard]] std::string duration_text(std::chrono::milliseconds duration);
// Local time, ISO 8601 with the offset from UTC.
[[nodiscard]] std::string time_text(std::int64_t unix_time);

// "2h" from now, or a local time "2026-01-31", "2026-01-31 18:00", "2026-01-31T18:00:30", or UTC with a Z
// behind it. nullopt: neither. Seconds since the epoch.
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text, std::int64_t now);

// The same for times that have been: "24h" is that long ago. nullopt for one that is to come, too.
[[nodiscard]] std::optional<std::int64_t> parse_past(std::string_view text, std::int64_t now);
inline constexpr const char *kPastExpected =
    "expected how long ago, such as 24h or 7d, or a time that has been, such as 2026-01-31T18:00";

}  // namespace paddock::cli
