#include "cgroups/settings.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "base/file.h"

namespace paddock::cgroups {
namespace {

constexpr std::uint64_t kCpuPeriodUs = 100'000;
constexpr std::uint32_t kDefaultWeight = 100;
constexpr const char *kNoIoLimit = "rbps=max wbps=max riops=max wiops=max";

template <typename T>
std::string or_max(const std::optional<T> &value) {
  return value ? std::to_string(*value) : "max";
}

std::string first_line(const std::string &text) {
  return text.substr(0, text.find('\n'));
}

// "8:0" of the device that `path` is, or is on.
Result<std::string> device_number(const std::string &path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno_error("io limit of " + path);
  const dev_t device = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
  return std::to_string(major(device)) + ":" + std::to_string(minor(device));
}

// io.max: a line a device, "8:0 rbps=1048576 wbps=max riops=max wiops=max".
std::map<std::string, std::string> io_lines(const std::string &text) {
  std::map<std::string, std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (const auto space = line.find(' '); space != std::string::npos)
      lines[line.substr(0, space)] = line.substr(space + 1);
  return lines;
}

std::string io_line(const std::string &device, const std::string &figures) {
  return device + " " + figures;
}

Result<void> check_weight(const Refused &what, const std::optional<std::uint32_t> &weight, Refused &refused) {
  refused = what;
  if (weight && (*weight < 1 || *weight > 10'000))
    return errno_error("write \"" + std::to_string(*weight) + "\" to " + what.file + ": not in 1 to 10000",
                       ERANGE);
  return {};
}

class Planner {
 public:
  Planner(BorrowedFd cgroup, const std::string &controllers, Refused &refused)
      : cgroup_(cgroup), controllers_(" " + controllers + " "), refused_(refused) {}

  Result<void> add(const char *controller, const char *file, std::string value, bool wanted) {
    PADDOCK_TRY(const auto present, current(controller, file, wanted));
    if (!present) return {};
    const std::string old = first_line(*present);
    if (old != value) settings_.push_back({controller, file, std::move(value), old, wanted, {}});
    return {};
  }

  Result<void> add_io(const std::vector<IoLimit> &limits) {
    PADDOCK_TRY(const auto present, current("io", "io.max", !limits.empty()));
    if (!present) return {};
    const auto old = io_lines(*present);
    std::map<std::string, std::string> wanted;
    std::map<std::string, std::string> paths;
    for (const auto &limit : limits) {
      refused_.device = limit.device;
      PADDOCK_TRY(const std::string device, device_number(limit.device));
      paths[device] = limit.device;
      wanted[device] = "rbps=" + or_max(limit.read_bytes_per_s) + " wbps=" + or_max(limit.write_bytes_per_s) +
                       " riops=" + or_max(limit.read_ops_per_s) + " wiops=" + or_max(limit.write_ops_per_s);
    }
    auto devices = wanted;
    devices.insert(old.begin(), old.end());
    for (const auto &[device, ignored] : devices) {
      const auto line_of = [&device = device](const auto &lines) {
        const auto found = lines.find(device);
        return found == lines.end() ? std::string(kNoIoLimit) : found->second;
      };
      const std::string value = line_of(wanted);
      const std::string before = line_of(old);
      if (value == before) continue;
      settings_.push_back({"io", "io.max", io_line(device, value), io_line(device, before),
                           wanted.contains(device), paths[device]});
    }
    return {};
  }

  // io.weight: beside the line "default 100", one a device that has a weight of its own, "8:0 200".
  Result<void> add_io_weights(const std::vector<IoLimit> &limits) {
    constexpr const char *kFile = "io.weight";
    const bool any = std::any_of(limits.begin(), limits.end(),
                                 [](const IoLimit &limit) { return limit.weight.has_value(); });
    PADDOCK_TRY(const auto present, current("io", kFile, any));
    if (!present) return {};
    auto old = io_lines(*present);
    old.erase("default");
    for (const auto &limit : limits) {
      if (!limit.weight) continue;
      PADDOCK_CHECK(check_weight({kFile, limit.device}, limit.weight, refused_));
      PADDOCK_TRY(const std::string device, device_number(limit.device));
      const auto before = old.extract(device);
      const std::string old_weight = before.empty() ? "default" : before.mapped();
      const std::string weight = std::to_string(*limit.weight);
      if (weight != old_weight)
        settings_.push_back(
            {"io", kFile, io_line(device, weight), io_line(device, old_weight), true, limit.device});
    }
    for (const auto &[device, weight] : old)
      settings_.push_back({"io", kFile, io_line(device, "default"), io_line(device, weight), false, {}});
    return {};
  }

  std::vector<Setting> take() && { return std::move(settings_); }

 private:
  // What the file says; nullopt: there is none, and nobody asked.
  Result<std::optional<std::string>> current(const std::string &controller, const char *file, bool wanted) {
    refused_ = {file, {}};
    if (controllers_.find(" " + controller + " ") == std::string::npos) return std::optional<std::string>{};
    auto text = read_at(cgroup_, file);
    if (text) return std::optional(std::move(*text));
    if (text.error().code == ENOENT && !wanted) return std::optional<std::string>{};
    return std::move(text).error();
  }

  BorrowedFd cgroup_;
  std::string controllers_;
  Refused &refused_;  // what is being looked at
  std::vector<Setting> settings_;
};

}  // namespace

Result<std::vector<Setting>> plan_settings(BorrowedFd cgroup, const Limits &limits, Refused *refused) {
  Refused unwanted;
  Refused &at = refused != nullptr ? *refused : unwanted;
  PADDOCK_CHECK(check_weight({"cpu.weight", {}}, limits.cpu_weight, at));
  PADDOCK_CHECK(check_weight({"io.weight", {}}, limits.io_weight, at));
  PADDOCK_TRY(std::string controllers, read_at(cgroup, "cgroup.controllers"));
  Planner planner(cgroup, first_line(controllers), at);

  std::optional<std::uint64_t> quota;
  if (limits.cpu_percent) quota = *limits.cpu_percent * kCpuPeriodUs / 100;
  PADDOCK_CHECK(
      planner.add("cpu", "cpu.max", or_max(quota) + " " + std::to_string(kCpuPeriodUs), quota.has_value()));
  PADDOCK_CHECK(planner.add("cpu", "cpu.weight", std::to_string(limits.cpu_weight.value_or(kDefaultWeight)),
                            limits.cpu_weight.has_value()));
  PADDOCK_CHECK(planner.add("pids", "pids.max", or_max(limits.pids_max), limits.pids_max.has_value()));
  PADDOCK_CHECK(
      planner.add("memory", "memory.swap.max", or_max(limits.swap_max), limits.swap_max.has_value()));
  // high before max: where both fall, reclaim comes before the OOM killer.
  PADDOCK_CHECK(
      planner.add("memory", "memory.high", or_max(limits.memory_high), limits.memory_high.has_value()));
  PADDOCK_CHECK(
      planner.add("memory", "memory.max", or_max(limits.memory_max), limits.memory_max.has_value()));
  PADDOCK_CHECK(planner.add("io", "io.weight",
                            "default " + std::to_string(limits.io_weight.value_or(kDefaultWeight)),
                            limits.io_weight.has_value()));
  PADDOCK_CHECK(planner.add_io_weights(limits.io));
  PADDOCK_CHECK(planner.add_io(limits.io));
  return std::move(planner).take();
}

}  // namespace paddock::cgroups
