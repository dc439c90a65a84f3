#include "cli/learned.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <ostream>

#include "base/file.h"
#include "cli/text.h"
#include "policies/seccomp_filter.h"

namespace paddock::cli {
namespace {

constexpr const char *kAuditLog = "/var/log/audit/audit.log";
constexpr std::size_t kLargestLog = 256 << 20;

// The number after " key=" of an audit record.
std::optional<std::uint64_t> field(std::string_view line, std::string_view key) {
  const std::string wanted = " " + std::string(key) + "=";
  const std::size_t at = line.find(wanted);
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const char *begin = line.data() + at + wanted.size();
  const auto [end, failure] = std::from_chars(begin, line.data() + line.size(), value);
  if (failure != std::errc{} || end == begin) return std::nullopt;
  return value;
}

// /dev/kmsg gives one record a read(2) (Documentation/ABI/testing/dev-kmsg).
std::string kernel_log() {
  std::string log;
  const UniqueFd device(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!device.valid()) return log;
  std::array<char, 8192> record;
  for (;;) {
    const ssize_t got = ::read(device.get(), record.data(), record.size());
    if (got < 0 && errno == EPIPE) continue;  // overwritten before it was read
    if (got <= 0) return log;
    log.append(record.data(), static_cast<std::size_t>(got));
    log += '\n';
  }
}

}  // namespace

void count_logged_calls(std::string_view log, uid_t uid, std::map<int, std::uint64_t> &calls) {
  while (!log.empty()) {
    const std::size_t end = std::min(log.find('\n'), log.size());
    const std::string_view line = log.substr(0, end);
    log.remove_prefix(std::min(end + 1, log.size()));
    const bool seccomp = line.find("type=1326 ") != line.npos || line.find("type=SECCOMP ") != line.npos;
    // SECCOMP_RET_LOG, and not a process that was killed.
    if (!seccomp || line.find(" code=0x7ffc0000") == line.npos || field(line, "uid") != uid) continue;
    if (const auto number = field(line, "syscall"); number && *number < 1024)
      ++calls[static_cast<int>(*number)];
  }
}

ExitStatus learned_policy(const Session &session, const std::string &name) {
  const auto config = load(session);
  if (!config) return ExitStatus::kUsage;
  const auto tenant = config->tenants.find(name);
  if (tenant == config->tenants.end())
    return session.fail(ExitStatus::kUnknownTenant, "unknown tenant " + printable(name));
  if (::geteuid() != 0) return session.fail(ExitStatus::kNotPermitted, "to read the kernel's log takes root");
  std::map<int, std::uint64_t> calls;
  count_logged_calls(kernel_log(), tenant->second->uid, calls);
  if (const auto audit = read_file(kAuditLog, kLargestLog))
    count_logged_calls(*audit, tenant->second->uid, calls);
  control::LearnedPolicy learned{name, {}};
  for (const auto &[number, times] : calls) {
    const std::string call = policies::syscall_name(number);
    learned.calls.push_back({call.empty() ? std::to_string(number) : call, times});
  }
  if (session.json) {
    session.out << to_json(learned) << '\n';
    return ExitStatus::kOk;
  }
  if (learned.calls.empty() && !config->plan_of(*tenant->second).seccomp_learning)
    session.err << "paddock: nothing was logged, and the plan of " << printable(name)
                << " does not learn (seccomp_learning)\n";
  std::vector<std::vector<std::string>> rows = {{"CALL", "TIMES"}};
  for (const auto &one : learned.calls) rows.push_back({one.call, std::to_string(one.times)});
  if (!learned.calls.empty()) session.out << table(rows);
  return ExitStatus::kOk;
}

}  // namespace paddock::cli
