#include "cgroups/stats.h"

#include <charconv>
#include <map>
#include <sstream>
#include <string_view>

#include "base/file.h"

namespace paddock::cgroups {
namespace {

Error malformed(const char *file, std::string_view text) {
  return errno_error(std::string("understand ") + file + ": \"" + std::string(text.substr(0, 80)) + "\"",
                     EBADMSG);
}

// nullopt: there is no such file here.
Result<std::optional<std::string>> read_optional(BorrowedFd directory, const char *file) {
  auto text = read_at(directory, file);
  if (text) return std::optional(std::move(*text));
  // EOPNOTSUPP: *.pressure on a kernel that was booted with psi=0.
  const int code = text.error().code;
  if (code == ENOENT || code == EOPNOTSUPP) return std::optional<std::string>{};
  return std::move(text).error();
}

template <typename Number>
bool parse(std::string_view text, Number &number) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc{} && end == text.data() + text.size();
}

Result<std::optional<std::uint64_t>> read_number(BorrowedFd directory, const char *file) {
  PADDOCK_TRY(const auto text, read_optional(directory, file));
  if (!text) return std::optional<std::uint64_t>{};
  std::uint64_t number = 0;
  if (!parse(std::string_view(*text).substr(0, text->find('\n')), number)) return malformed(file, *text);
  return std::optional(number);
}

// "name value" lines.
using Keyed = std::map<std::string, std::uint64_t, std::less<>>;
Result<std::optional<Keyed>> read_keyed(BorrowedFd directory, const char *file) {
  PADDOCK_TRY(const auto text, read_optional(directory, file));
  if (!text) return std::optional<Keyed>{};
  Keyed values;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.find(' ');
    std::uint64_t number = 0;
    if (space == std::string::npos || !parse(std::string_view(line).substr(space + 1), number))
      return malformed(file, line);
    values[line.substr(0, space)] = number;
  }
  return std::optional(std::move(values));
}

std::uint64_t at(const Keyed &values, std::string_view name) {
  const auto found = values.find(name);
  return found == values.end() ? 0 : found->second;
}

Result<std::optional<CpuStat>> read_cpu(BorrowedFd directory) {
  PADDOCK_TRY(const auto values, read_keyed(directory, "cpu.stat"));
  if (!values) return std::optional<CpuStat>{};
  return std::optional(CpuStat{at(*values, "usage_usec"), at(*values, "user_usec"),
                               at(*values, "system_usec"), at(*values, "nr_periods"),
                               at(*values, "nr_throttled"), at(*values, "throttled_usec")});
}

Result<std::optional<MemoryStat>> read_memory(BorrowedFd directory) {
  PADDOCK_TRY(const auto current, read_number(directory, "memory.current"));
  if (!current) return std::optional<MemoryStat>{};
  MemoryStat memory;
  memory.current = *current;
  PADDOCK_TRY(memory.peak, read_number(directory, "memory.peak"));
  PADDOCK_TRY(memory.swap, read_number(directory, "memory.swap.current"));
  PADDOCK_TRY(const auto kinds, read_keyed(directory, "memory.stat"));
  if (kinds) {
    memory.anon = at(*kinds, "anon");
    memory.file = at(*kinds, "file");
    memory.shmem = at(*kinds, "shmem");
    memory.kernel = at(*kinds, "kernel");
    memory.slab = at(*kinds, "slab");
    memory.sock = at(*kinds, "sock");
  }
  PADDOCK_TRY(const auto events, read_keyed(directory, "memory.events"));
  if (events) {
    memory.high_events = at(*events, "high");
    memory.max_events = at(*events, "max");
    memory.oom_events = at(*events, "oom");
    memory.oom_kills = at(*events, "oom_kill");
  }
  return std::optional(memory);
}

Result<std::optional<PidsStat>> read_pids(BorrowedFd directory) {
  PADDOCK_TRY(const auto current, read_number(directory, "pids.current"));
  if (!current) return std::optional<PidsStat>{};
  PidsStat pids;
  pids.current = *current;
  PADDOCK_TRY(pids.peak, read_number(directory, "pids.peak"));
  PADDOCK_TRY(const auto events, read_keyed(directory, "pids.events"));
  if (events) pids.max_events = at(*events, "max");
  return std::optional(pids);
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"
Result<std::optional<std::vector<IoStat>>> read_io(BorrowedFd directory) {
  PADDOCK_TRY(const auto text, read_optional(directory, "io.stat"));
  if (!text) return std::optional<std::vector<IoStat>>{};
  std::vector<IoStat> devices;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    IoStat device;
    words >> word;
    const std::size_t colon = word.find(':');
    if (colon == std::string::npos || !parse(std::string_view(word).substr(0, colon), device.major) ||
        !parse(std::string_view(word).substr(colon + 1), device.minor))
      return malformed("io.stat", line);
    while (words >> word) {
      const std::size_t equals = word.find('=');
      std::uint64_t number = 0;
      // Other policies add words of their own ("cost.usage=…", "use_delay=…", and more that are no pairs).
      if (equals == std::string::npos || !parse(std::string_view(word).substr(equals + 1), number)) continue;
      const std::string_view name = std::string_view(word).substr(0, equals);
      if (name == "rbytes") device.read_bytes = number;
      if (name == "wbytes") device.written_bytes = number;
      if (name == "rios") device.reads = number;
      if (name == "wios") device.writes = number;
    }
    devices.push_back(device);
  }
  return std::optional(std::move(devices));
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
Result<std::optional<Pressure>> read_pressure(BorrowedFd directory, const char *file) {
  PADDOCK_TRY(const auto text, read_optional(directory, file));
  if (!text) return std::optional<Pressure>{};
  Pressure pressure;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word != "some" && word != "full") return malformed(file, line);
    Pressure::Line &target = word == "some" ? pressure.some : pressure.full;
    while (words >> word) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) return malformed(file, line);
      const std::string_view name = std::string_view(word).substr(0, equals);
      const std::string_view value = std::string_view(word).substr(equals + 1);
      const bool good = name == "avg10"    ? parse(value, target.avg10)
                        : name == "avg60"  ? parse(value, target.avg60)
                        : name == "avg300" ? parse(value, target.avg300)
                        : name == "total"  ? parse(value, target.total_us)
                                           : true;
      if (!good) return malformed(file, line);
    }
  }
  return std::optional(pressure);
}

}  // namespace

// "8:0 rbps=1048576 wbps=max riops=max wiops=max"
Result<std::vector<IoMax>> read_io_max(BorrowedFd directory) {
  std::vector<IoMax> limits;
  PADDOCK_TRY(const auto text, read_optional(directory, "io.max"));
  if (!text) return limits;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    IoMax limit;
    words >> word;
    const std::size_t colon = word.find(':');
    if (colon == std::string::npos || !parse(std::string_view(word).substr(0, colon), limit.major) ||
        !parse(std::string_view(word).substr(colon + 1), limit.minor))
      return malformed("io.max", line);
    while (words >> word) {
      const std::size_t equals = word.find('=');
      std::uint64_t number = 0;
      if (equals == std::string::npos || !parse(std::string_view(word).substr(equals + 1), number)) continue;
      const std::string_view name = std::string_view(word).substr(0, equals);
      if (name == "rbps") limit.read_bytes_per_s = number;
      if (name == "wbps") limit.write_bytes_per_s = number;
      if (name == "riops") limit.read_ops_per_s = number;
      if (name == "wiops") limit.write_ops_per_s = number;
    }
    limits.push_back(limit);
  }
  return limits;
}

Result<Stats> read_stats(BorrowedFd directory) {
  Stats stats;
  PADDOCK_TRY(stats.cpu, read_cpu(directory));
  // Every cgroup but the mount's root has it: without, this one has been removed.
  if (!stats.cpu) return errno_error("read cpu.stat", ENODEV);
  PADDOCK_TRY(stats.memory, read_memory(directory));
  PADDOCK_TRY(stats.pids, read_pids(directory));
  PADDOCK_TRY(stats.io, read_io(directory));
  PADDOCK_TRY(stats.cpu_pressure, read_pressure(directory, "cpu.pressure"));
  PADDOCK_TRY(stats.memory_pressure, read_pressure(directory, "memory.pressure"));
  PADDOCK_TRY(stats.io_pressure, read_pressure(directory, "io.pressure"));
  return stats;
}

}  // namespace paddock::cgroups
