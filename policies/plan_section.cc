#include "policies/plan_section.h"

#include <limits>

#include "base/log.h"
#include "policies/grants.h"
#include "policies/network_section.h"
#include "policies/serving_section.h"
#include "policies/units.h"

namespace paddock::policies {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr std::uint64_t kMaxWorkers = 256;  // slots of the scoreboard
constexpr std::uint64_t kMaxQueue = 65'535;
constexpr std::uint64_t kLeastMemory = 4ULL << 20;  // catches "memory_max = 128", which is 128 bytes
constexpr std::uint64_t kMostBytes = 1ULL << 50;
constexpr std::uint64_t kLeastHeader = 4096;    // what the web server adds alone is up to 3 KiB
constexpr std::uint64_t kMaxPids = 4'194'304;   // PID_MAX_LIMIT on 64 bits (proc(5))
constexpr std::uint64_t kMaxWeight = 10'000;    // cgroup-v2.rst, "Weights"
constexpr std::uint32_t kMaxPercent = 102'400;  // 1,024 cores
constexpr std::uint64_t kMaxIo = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kMaxMail = 1'000'000;
constexpr std::uint64_t kMostMail = 1ULL << 30;
constexpr std::uint64_t kMaxRecipients = 200;  // mail_link::Deliver::kMostRecipients
constexpr std::uint64_t kMiB = 1ULL << 20;
// Room for PHP's interned strings (8 MiB) and something beside; what PHP's own integer holds.
constexpr std::uint64_t kLeastOpcache = 16 * kMiB;
constexpr std::uint64_t kMostOpcache = 16ULL << 30;
constexpr std::uint64_t kKeeper = 1;  // the sandbox's pid 1 counts too

template <typename T>
void narrow(const std::optional<std::uint64_t> &from, T &to) {
  if (from) to = static_cast<T>(*from);
}

template <typename T>
void narrow(const std::optional<std::uint64_t> &from, std::optional<T> &to) {
  if (from) to = static_cast<T>(*from);
}

void read_opcache(Section &section, Plan &plan) {
  if (const auto keep = section.duration("opcache_keep", milliseconds(0), hours(24 * 30)))
    plan.opcache_keep = *keep;
  if (const auto files = section.boolean("opcache_files")) plan.opcache_files = *files;
  // A size of its own needs a zygote of its own, so it is one that others are likely to share.
  const auto size = section.bytes("opcache", kLeastOpcache, kMostOpcache);
  if (!size) return;
  if (*size % kMiB != 0)
    section.fail("opcache", "not a whole number of MiB", "a size as \"64M\"");
  else if (plan.limits.memory_max && *size >= *plan.limits.memory_max)
    section.warn("opcache", "does not fit into memory_max (" + format_bytes(*plan.limits.memory_max) + ")");
  plan.opcache_mib = static_cast<std::uint32_t>(*size / kMiB);
}

void read_memory(Section &section, std::string_view key, std::uint64_t least,
                 std::optional<std::uint64_t> &to) {
  if (section.is_max(key)) {
    to.reset();
  } else {
    narrow(section.bytes(key, least, kMostBytes), to);
  }
}

void read_io(Section section, const Machine &machine, std::vector<IoLimit> &limits) {
  IoLimit limit;
  limit.where = section.location();
  const auto device = section.path("device");
  limit.read_bytes_per_s = section.bytes("read_bps", 4096, kMaxIo);
  limit.write_bytes_per_s = section.bytes("write_bps", 4096, kMaxIo);
  limit.read_ops_per_s = section.integer("read_iops", 1, kMaxIo);
  limit.write_ops_per_s = section.integer("write_iops", 1, kMaxIo);
  narrow(section.integer("weight", 1, kMaxWeight), limit.weight);
  section.finish();
  if (!device) {
    if (section.find("device") == nullptr)
      section.fail("device", "missing", "a block device, or a path on the filesystem that is meant");
    return;
  }
  if (section.size() == 1) {
    section.fail("", "limits nothing", "read_bps, write_bps, read_iops, write_iops or weight");
    return;
  }
  limit.device = *device;
  if (!machine.exists(limit.device)) section.warn("device", "there is no " + log::quoted(limit.device));
  std::erase_if(limits, [&](const IoLimit &other) { return other.device == limit.device; });
  limits.push_back(std::move(limit));
}

void read_limits(Section &section, const Machine &machine, Limits &limits) {
  for (const char *key : {"cpu", "cpu_weight", "memory_high", "memory_max", "swap_max", "pids", "io_weight"})
    if (section.find(key) != nullptr) limits.where[key] = section.location_of(key);
  if (section.is_max("cpu")) {
    limits.cpu_percent.reset();
  } else if (const auto percent = section.percent("cpu", 1, kMaxPercent)) {
    limits.cpu_percent = percent;
  }
  narrow(section.integer("cpu_weight", 1, kMaxWeight), limits.cpu_weight);
  read_memory(section, "memory_high", kLeastMemory, limits.memory_high);
  read_memory(section, "memory_max", kLeastMemory, limits.memory_max);
  read_memory(section, "swap_max", 0, limits.swap_max);
  if (section.is_max("pids")) {
    limits.pids_max.reset();
  } else {
    narrow(section.integer("pids", 1, kMaxPids), limits.pids_max);
  }
  narrow(section.integer("io_weight", 1, kMaxWeight), limits.io_weight);
  for (const Value *value : section.tables("io"))
    read_io(section.inside("io", *value->as<Table>(), value->where), machine, limits.io);
}

void read_seccomp(Section &section, SeccompProfiles &profiles, std::vector<Diagnostic> &diagnostics,
                  Plan &plan) {
  if (const auto name = section.text("seccomp")) {
    plan.seccomp = *name;
    plan.seccomp_filter.reset();
  }
  if (const auto learning = section.boolean("seccomp_learning");
      learning && *learning != plan.seccomp_learning) {
    plan.seccomp_learning = *learning;
    plan.seccomp_filter.reset();
  }
  if (plan.seccomp_filter) return;
  const std::size_t before = diagnostics.size();
  plan.seccomp_filter = profiles.filter(plan.seccomp, plan.seccomp_learning, diagnostics);
  if (plan.seccomp_filter || profiles.is_broken(plan.seccomp)) return;
  if (diagnostics.size() == before)
    section.fail("seccomp", "there is no seccomp profile " + log::quoted(plan.seccomp, 64),
                 "the name of a profile", {}, nearest_of(plan.seccomp, SeccompProfiles::names()));
}

// What weakens the sandbox needs a grant. Where an inherited setting is at fault, so is the section as a
// whole.
void check_grants(Section &section, SeccompProfiles &profiles, const Plan &plan) {
  if (const auto more = profiles.beyond_default(plan.seccomp); !more.empty())
    require_grant(
        section, "seccomp", plan.grants, kGrantSeccomp,
        "the profile " + log::quoted(plan.seccomp, 64) + " allows what \"default\" does not (" + more + ")");
  if (plan.seccomp_learning)
    require_grant(section, "seccomp_learning", plan.grants, kGrantLearning,
                  "system calls that the profile does not know would run");
  if (plan.ini_from_web == IniFromWeb::kAdmin)
    require_grant(section, "ini_from_web", plan.grants, kGrantIniFromWeb,
                  "\"admin\" lets .htaccess files set what PHP code cannot");
  for (const auto &bind : plan.binds) {
    if (bind.writable)
      require_grant(section, "bind", plan.grants, kGrantWritableBind,
                    log::quoted(bind.source, 128) + " would be writable for tenants");
    if (!bind.nosuid || !bind.nodev)
      require_grant(section, "bind", plan.grants, kGrantLooseBind,
                    log::quoted(bind.source, 128) + " would have working device nodes or set-ID bits");
  }
}

// A form's other fields come on top of the file.
constexpr std::uint64_t kFormBytes = 1ULL << 20;

void set_upload_max(std::uint64_t bytes, std::vector<IniEntry> &ini) {
  const auto set = [&ini](const std::string &name, std::uint64_t value) {
    std::erase_if(ini, [&name](const IniEntry &other) { return other.name == name && other.admin; });
    ini.push_back({name, std::to_string(value), true});
  };
  set("upload_max_filesize", bytes);
  set("post_max_size", bytes + kFormBytes);
}

// What each figure allows alone, but not with another.
void check(Section &section, const Plan &plan) {
  const Limits &limits = plan.limits;
  if (limits.memory_high && limits.memory_max && *limits.memory_high > *limits.memory_max)
    section.fail(section.find("memory_high") != nullptr ? "memory_high" : "memory_max",
                 "memory_high (" + format_bytes(*limits.memory_high) + ") is above memory_max (" +
                     format_bytes(*limits.memory_max) + ")",
                 "memory_high <= memory_max");
  const std::uint64_t needed = plan.workers + kKeeper;
  if (limits.pids_max && *limits.pids_max < needed)
    section.fail(section.find("pids") != nullptr ? "pids" : "workers",
                 "too few processes for " + std::to_string(plan.workers) + " workers and their keeper",
                 "pids >= " + std::to_string(needed));
}

void read_mail_limits(Section &section, MailLimits &mail) {
  narrow(section.integer("mail_per_hour", 0, kMaxMail), mail.per_hour);
  narrow(section.bytes("mail_size", 1024, kMostMail), mail.message_bytes);
  narrow(section.integer("mail_recipients", 1, kMaxRecipients), mail.recipients);
  if (const auto sender = section.choice("mail_sender", {"account", "any"}))
    mail.sender = static_cast<MailSender>(*sender);
}

}  // namespace

void read_plan(Section &section, const std::vector<std::string> &hidden, const Machine &machine,
               SeccompProfiles &profiles, std::vector<Diagnostic> &diagnostics, Plan &plan) {
  plan.where = section.location();
  section.text("inherits");  // the caller has followed it
  narrow(section.integer("workers", 1, kMaxWorkers), plan.workers);
  if (const auto idle = section.duration("idle", milliseconds(0), hours(24 * 30))) plan.idle = *idle;
  narrow(section.integer("requests_per_worker", 0, std::numeric_limits<std::uint32_t>::max()),
         plan.requests_per_worker);
  narrow(section.integer("emergency_restart", 0, std::numeric_limits<std::uint32_t>::max()),
         plan.emergency_restart);
  if (const auto interval = section.duration("emergency_restart_interval", milliseconds(1'000), hours(24)))
    plan.emergency_restart_interval = *interval;
  narrow(section.integer("queue", 0, kMaxQueue), plan.queue);
  if (const auto wait = section.duration("queue_time", milliseconds(0), hours(1))) plan.queue_time = *wait;
  narrow(section.integer("slow_clients", 1, kMaxQueue), plan.slow_clients);
  if (const auto time = section.duration("receive_time", milliseconds(1), hours(1)))
    plan.receive_time = *time;
  narrow(section.bytes("header", kLeastHeader, kMostHeaderBytes), plan.header_bytes);
  narrow(section.bytes("body", 0, kMostBytes), plan.body_bytes);
  narrow(section.bytes("spool", 0, kMostBytes), plan.spool_bytes);
  if (const auto time = section.duration("send_time", milliseconds(1), hours(1))) plan.send_time = *time;
  narrow(section.bytes("unread", 0, kMostBytes), plan.unread_bytes);
  if (const auto deadline = section.duration("deadline", milliseconds(0), hours(24)))
    plan.deadline = *deadline;
  narrow(section.bytes("tmp_size", 64ULL << 10, kMostBytes), plan.tmp_bytes);
  narrow(section.bytes("log_size", 0, kMostBytes), plan.log_bytes);
  read_grants(section, plan.grants);
  read_seccomp(section, profiles, diagnostics, plan);
  if (const auto network = section.choice("network", {"host", "none", "nat"}))
    plan.network = static_cast<Network>(*network);
  read_egress(section, plan.egress);
  if (const auto own = section.boolean("own_start")) plan.own_start = *own;
  if (const auto from_web = section.choice("ini_from_web", {"none", "value", "admin"}))
    plan.ini_from_web = static_cast<IniFromWeb>(*from_web);
  read_serving(section, plan.serving);
  read_mail_limits(section, plan.mail);
  read_limits(section, machine, plan.limits);
  read_opcache(section, plan);
  if (const auto php = section.text("php")) plan.php = *php;
  if (const auto upload = section.bytes("upload_max", 0, kMostBytes)) {
    set_upload_max(*upload, plan.ini);
    if (*upload > plan.tmp_bytes)
      section.warn("upload_max", "PHP keeps uploads in /tmp, which holds less (tmp_size = " +
                                     format_bytes(plan.tmp_bytes) + ")");
  }
  read_ini(section, plan.ini);
  if (const auto clear = section.boolean("clear_env")) plan.clear_env = *clear;
  read_environment(section, plan.environment);
  read_binds(section, hidden, machine, plan.binds);
  section.finish();
  check(section, plan);
  check_grants(section, profiles, plan);
}

}  // namespace paddock::policies
