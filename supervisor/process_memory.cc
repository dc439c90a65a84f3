#include "supervisor/process_memory.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "base/file.h"

namespace paddock::supervisor {
namespace {

// What stands behind "KEY:" at the beginning of a line. The process's name comes first and is whatever the
// process likes, but the kernel escapes its line breaks.
std::optional<std::string_view> value_of(std::string_view status, std::string_view key) {
  while (!status.empty()) {
    const std::string_view line = status.substr(0, status.find('\n'));
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ':')
      return line.substr(key.size() + 1);
    status.remove_prefix(std::min(line.size() + 1, status.size()));
  }
  return std::nullopt;
}

template <typename Number>
std::optional<Number> number_at(std::string_view text, std::size_t from) {
  Number number{};
  if (from >= text.size()) return std::nullopt;
  const auto [end, problem] = std::from_chars(text.data() + from, text.data() + text.size(), number);
  if (problem != std::errc()) return std::nullopt;
  return number;
}

}  // namespace

Result<std::pair<pid_t, std::uint64_t>> parse_own_memory(std::string_view status) {
  const auto numbers = value_of(status, "NSpid");
  const auto size = value_of(status, "RssAnon");
  if (!numbers || !size) return Error{"no NSpid and RssAnon"};  // a kernel thread, or a process that ends
  const auto pid = number_at<pid_t>(*numbers, numbers->find_last_of(" \t") + 1);
  const auto kib = number_at<std::uint64_t>(*size, size->find_first_not_of(" \t"));
  if (!pid || !kib) return Error{"NSpid or RssAnon is no number"};
  return std::pair(*pid, *kib * 1024);
}

std::unordered_map<pid_t, std::uint64_t> own_memory(const std::vector<pid_t> &processes) {
  std::unordered_map<pid_t, std::uint64_t> found;
  for (const pid_t process : processes) {
    if (found.size() == kMostMeasured) break;
    const auto status = read_file("/proc/" + std::to_string(process) + "/status", 16 << 10);
    if (!status) continue;
    if (const auto memory = parse_own_memory(*status)) found.insert(*memory);
  }
  return found;
}

}  // namespace paddock::supervisor
