// The figures that people write in a config: "64M", "30s", "150%".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace paddock::policies {

// "64M": a whole number and K, M, G or T (or KiB, MiB, …), powers of 1024 as in php.ini and cgroup-v2.rst;
// without a unit: bytes. nullopt: not such a text, or more than 64 bits hold.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

// "500ms", "30s", "5m", "2h", "7d", or several of these, the larger first ("1h30m"). "0" needs no unit.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// "150%": whole per cent.
[[nodiscard]] std::optional<std::uint32_t> parse_percent(std::string_view text);

// The shortest text that parse_bytes() and parse_duration() read back as the same figure.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

}  // namespace paddock::policies
