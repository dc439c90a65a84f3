#include "cgroups/stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <initializer_list>
#include <map>
#include <string_view>

#include "base/file.h"

namespace paddock::cgroups {
namespace {

Error malformed(const char *file, std::string_view text) {
  return errno_error(std::string("understand ") + file + ": \"" + std::string(text.substr(0, 80)) + "\"",
                     EBADMSG);
}

// A file's text. Most fit the buffer, so that a sample of a thousand cgroups allocates nothing.
class Text {
 public:
  // Reads the file from its beginning.
  Result<void> read(BorrowedFd fd, const char *file) {
    const ssize_t got = ::pread(fd.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0) return errno_error(std::string("read ") + file);
    if (static_cast<std::size_t>(got) < buffer_.size()) {
      text_ = {buffer_.data(), static_cast<std::size_t>(got)};
      return {};
    }
    if (::lseek(fd.get(), 0, SEEK_SET) != 0) return errno_error(std::string("seek ") + file);
    PADDOCK_TRY(long_, read_all(fd));
    text_ = long_;
    return {};
  }

  // The next line, without its end; false: there is none.
  bool line(std::string_view &to) { return split(text_, '\n', to); }

  // The next word of a line.
  static bool word(std::string_view &line, std::string_view &to) { return split(line, ' ', to); }

 private:
  static bool split(std::string_view &from, char at, std::string_view &to) {
    if (from.empty()) return false;
    const std::size_t end = from.find(at);
    to = from.substr(0, end);
    from.remove_prefix(end == std::string_view::npos ? from.size() : end + 1);
    return true;
  }

  std::array<char, 4096> buffer_;  // left as it is: read() fills what is used
  std::string long_;
  std::string_view text_;
};

template <typename Number>
bool parse(std::string_view text, Number &number) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc{} && end == text.data() + text.size();
}

// A cgroup's files, each opened when it is first read, and then kept.
class Files {
 public:
  Files(BorrowedFd directory, std::map<std::string_view, UniqueFd> &kept)
      : directory_(directory), kept_(kept) {}

  // false: there is no such file here, or this kernel has it switched off.
  Result<bool> read(const char *file, Text &text) {
    auto found = kept_.find(file);
    if (found == kept_.end()) {
      UniqueFd fd(::openat(directory_.get(), file, O_RDONLY | O_CLOEXEC));
      if (!fd.valid() && errno != ENOENT) return errno_error(std::string("open ") + file);
      found = kept_.emplace(file, std::move(fd)).first;
    }
    if (!found->second.valid()) return false;
    auto read = text.read(found->second, file);
    if (read) return true;
    // EOPNOTSUPP: *.pressure on a kernel that was booted with psi=0.
    if (read.error().code != EOPNOTSUPP) return std::move(read).error();
    found->second.reset();
    return false;
  }

 private:
  BorrowedFd directory_;
  std::map<std::string_view, UniqueFd> &kept_;
};

Result<std::optional<std::uint64_t>> read_number(Files files, const char *file) {
  Text text;
  PADDOCK_TRY(const bool there, files.read(file, text));
  if (!there) return std::optional<std::uint64_t>{};
  std::string_view line;
  std::uint64_t number = 0;
  if (!text.line(line) || !parse(line, number)) return malformed(file, line);
  return std::optional(number);
}

// A line "name value" that is wanted, and where the value goes.
struct Wanted {
  std::string_view name;
  std::uint64_t *to;
};

Result<bool> read_keyed(Files files, const char *file, std::initializer_list<Wanted> wanted) {
  Text text;
  PADDOCK_TRY(const bool there, files.read(file, text));
  if (!there) return false;
  for (std::string_view line; text.line(line);) {
    const std::size_t space = line.find(' ');
    std::uint64_t number = 0;
    if (space == std::string_view::npos || !parse(line.substr(space + 1), number))
      return malformed(file, line);
    for (const Wanted &each : wanted)
      if (line.substr(0, space) == each.name) *each.to = number;
  }
  return true;
}

Result<std::optional<CpuStat>> read_cpu(Files files) {
  CpuStat cpu;
  PADDOCK_TRY(const bool there, read_keyed(files, "cpu.stat",
                                           {{"usage_usec", &cpu.usage_us},
                                            {"user_usec", &cpu.user_us},
                                            {"system_usec", &cpu.system_us},
                                            {"nr_periods", &cpu.periods},
                                            {"nr_throttled", &cpu.throttled_periods},
                                            {"throttled_usec", &cpu.throttled_us}}));
  return there ? std::optional(cpu) : std::nullopt;
}

// What changes from second to second. Absent: there is no memory controller.
Result<void> read_memory_now(Files files, std::optional<MemoryStat> &memory) {
  PADDOCK_TRY(const auto current, read_number(files, "memory.current"));
  if (!current) {
    memory.reset();
    return {};
  }
  if (!memory) memory.emplace();
  memory->current = *current;
  return {};
}

Result<void> read_memory_events(Files files, MemoryStat &memory) {
  PADDOCK_CHECK(read_keyed(files, "memory.events",
                           {{"high", &memory.high_events},
                            {"max", &memory.max_events},
                            {"oom", &memory.oom_events},
                            {"oom_kill", &memory.oom_kills}}));
  return {};
}

Result<void> read_memory_kinds(Files files, MemoryStat &memory) {
  PADDOCK_TRY(memory.peak, read_number(files, "memory.peak"));
  PADDOCK_TRY(memory.swap, read_number(files, "memory.swap.current"));
  PADDOCK_CHECK(read_keyed(files, "memory.stat",
                           {{"anon", &memory.anon},
                            {"file", &memory.file},
                            {"shmem", &memory.shmem},
                            {"kernel", &memory.kernel},
                            {"slab", &memory.slab},
                            {"sock", &memory.sock}}));
  return {};
}

Result<void> read_pids_now(Files files, std::optional<PidsStat> &pids) {
  PADDOCK_TRY(const auto current, read_number(files, "pids.current"));
  if (!current) {
    pids.reset();
    return {};
  }
  if (!pids) pids.emplace();
  pids->current = *current;
  return {};
}

// "8:0", as the first word of a line.
bool parse_device(std::string_view &line, std::uint32_t &major, std::uint32_t &minor) {
  std::string_view word;
  if (!Text::word(line, word)) return false;
  const std::size_t colon = word.find(':');
  return colon != std::string_view::npos && parse(word.substr(0, colon), major) &&
         parse(word.substr(colon + 1), minor);
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"
Result<std::optional<std::vector<IoStat>>> read_io(Files files) {
  Text text;
  PADDOCK_TRY(const bool there, files.read("io.stat", text));
  if (!there) return std::optional<std::vector<IoStat>>{};
  std::vector<IoStat> devices;
  for (std::string_view line; text.line(line);) {
    IoStat device;
    std::string_view rest = line;
    if (!parse_device(rest, device.major, device.minor)) return malformed("io.stat", line);
    for (std::string_view word; Text::word(rest, word);) {
      const std::size_t equals = word.find('=');
      std::uint64_t number = 0;
      // Other policies add words of their own ("cost.usage=…", "use_delay=…", and more that are no pairs).
      if (equals == std::string_view::npos || !parse(word.substr(equals + 1), number)) continue;
      const std::string_view name = word.substr(0, equals);
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
Result<std::optional<Pressure>> read_pressure(Files files, const char *file) {
  Text text;
  PADDOCK_TRY(const bool there, files.read(file, text));
  if (!there) return std::optional<Pressure>{};
  Pressure pressure;
  for (std::string_view line; text.line(line);) {
    std::string_view rest = line;
    std::string_view word;
    if (!Text::word(rest, word) || (word != "some" && word != "full")) return malformed(file, line);
    Pressure::Line &target = word == "some" ? pressure.some : pressure.full;
    while (Text::word(rest, word)) {
      const std::size_t equals = word.find('=');
      if (equals == std::string_view::npos) return malformed(file, line);
      const std::string_view name = word.substr(0, equals);
      const std::string_view value = word.substr(equals + 1);
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
  std::map<std::string_view, UniqueFd> kept;
  Text text;
  PADDOCK_TRY(const bool there, Files(directory, kept).read("io.max", text));
  if (!there) return limits;
  for (std::string_view line; text.line(line);) {
    IoMax limit;
    std::string_view rest = line;
    if (!parse_device(rest, limit.major, limit.minor)) return malformed("io.max", line);
    for (std::string_view word; Text::word(rest, word);) {
      const std::size_t equals = word.find('=');
      std::uint64_t number = 0;
      if (equals == std::string_view::npos || !parse(word.substr(equals + 1), number)) continue;
      const std::string_view name = word.substr(0, equals);
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
  StatsReader reader(directory);
  PADDOCK_TRY(const Stats *const stats, reader.read(StatsReader::Depth::kAll));
  return *stats;
}

Result<const Stats *> StatsReader::read(Depth depth) {
  if (!primed()) depth = Depth::kAll;
  const Files files(directory_, files_);
  PADDOCK_TRY(stats_.cpu, read_cpu(files));
  // Every cgroup but the mount's root has it: without, this one has been removed.
  if (!stats_.cpu) return errno_error("read cpu.stat", ENODEV);
  PADDOCK_CHECK(read_memory_now(files, stats_.memory));
  PADDOCK_CHECK(read_pids_now(files, stats_.pids));
  if (depth == Depth::kNow) return &stats_;
  if (stats_.memory) PADDOCK_CHECK(read_memory_events(files, *stats_.memory));
  if (stats_.pids) PADDOCK_CHECK(read_keyed(files, "pids.events", {{"max", &stats_.pids->max_events}}));
  PADDOCK_TRY(stats_.io, read_io(files));
  if (depth == Depth::kLimits) return &stats_;
  if (stats_.memory) PADDOCK_CHECK(read_memory_kinds(files, *stats_.memory));
  if (stats_.pids) {
    PADDOCK_TRY(stats_.pids->peak, read_number(files, "pids.peak"));
  }
  PADDOCK_TRY(stats_.cpu_pressure, read_pressure(files, "cpu.pressure"));
  PADDOCK_TRY(stats_.memory_pressure, read_pressure(files, "memory.pressure"));
  PADDOCK_TRY(stats_.io_pressure, read_pressure(files, "io.pressure"));
  return &stats_;
}

}  // namespace paddock::cgroups
