#include "policies/units.h"

#include <array>
#include <charconv>
#include <limits>

namespace paddock::policies {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 4> kByteUnits{
    {{"T", 1ULL << 40}, {"G", 1ULL << 30}, {"M", 1ULL << 20}, {"K", 1ULL << 10}}};
constexpr std::array<Unit, 5> kTimeUnits{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

// Takes a decimal number off the front. No sign, no space, no overflow.
std::optional<std::uint64_t> take_number(std::string_view &text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto number = take_number(text);
  if (!number || text.empty()) return number;
  for (const auto &unit : kByteUnits)
    if (text == unit.name || text == std::string(unit.name) + "iB") return multiply(*number, unit.factor);
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds(0);
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  std::size_t next_unit = 0;  // units go down, so that each comes once
  while (!text.empty()) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    const std::string_view name = text.substr(0, text.find_first_of("0123456789"));
    std::size_t unit = next_unit;
    while (unit < kTimeUnits.size() && kTimeUnits[unit].name != name) ++unit;
    if (unit == kTimeUnits.size()) return std::nullopt;
    const auto part = multiply(*number, kTimeUnits[unit].factor);
    if (!part || __builtin_add_overflow(total, *part, &total)) return std::nullopt;
    next_unit = unit + 1;
    text.remove_prefix(name.size());
  }
  if (total > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(total));
}

std::optional<std::uint32_t> parse_percent(std::string_view text) {
  const auto number = take_number(text);
  if (!number || text != "%" || *number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

std::string format_bytes(std::uint64_t bytes) {
  for (const auto &unit : kByteUnits)
    if (bytes >= unit.factor && bytes % unit.factor == 0)
      return std::to_string(bytes / unit.factor) + std::string(unit.name);
  return std::to_string(bytes);
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration.count() <= 0) return "0";
  std::string out;
  auto rest = static_cast<std::uint64_t>(duration.count());
  for (const auto &unit : kTimeUnits) {
    if (rest < unit.factor) continue;
    out += std::to_string(rest / unit.factor) + std::string(unit.name);
    rest %= unit.factor;
  }
  return out;
}

}  // namespace paddock::policies
