#include "dashboard/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "base/latency_buckets.h"

namespace paddock::dashboard {
namespace {

enum class Kind : std::uint8_t { kGauge, kCounter, kHistogram };

const char *name_of(Kind kind) {
  switch (kind) {
    case Kind::kGauge:
      return "gauge";
    case Kind::kCounter:
      return "counter";
    case Kind::kHistogram:
      return "histogram";
  }
  return "unknown";
}

class Writer {
 public:
  explicit Writer(MetricsFormat format) : format_(format) { text_.reserve(std::size_t{4} << 20); }

  // Names of counters are without their "_total".
  void family(std::string_view name, Kind kind, std::string_view help) {
    name_ = name;
    total_ = kind == Kind::kCounter;
    // OpenMetrics names the family, the older format the series.
    const std::string_view suffix = total_ && format_ == MetricsFormat::kText ? "_total" : "";
    append({"# HELP ", name, suffix, " ", help, "\n# TYPE ", name, suffix, " ", name_of(kind), "\n"});
  }
  // labels: as they are written, without braces.
  void value(std::string_view labels, double number, std::string_view suffix = {}) {
    series({labels}, number, suffix);
  }
  void series(std::initializer_list<std::string_view> labels, double number, std::string_view suffix = {}) {
    append({name_, total_ ? "_total" : suffix});
    if (!labels.begin()->empty()) {
      text_ += '{';
      append(labels);
      text_ += '}';
    }
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    append({" ", std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())), "\n"});
  }
  std::string finish() {
    if (format_ == MetricsFormat::kOpenMetrics) text_ += "# EOF\n";
    return std::move(text_);
  }

 private:
  void append(std::initializer_list<std::string_view> parts) {
    for (const auto part : parts) text_ += part;
  }

  MetricsFormat format_;
  std::string text_;
  std::string name_;
  bool total_ = false;
};

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string label(std::string_view name, std::string_view value) {
  return std::string(name) + "=\"" + escaped(value) + "\"";
}

struct Tenant {
  std::string label;
  const TenantLive *live;
};
using Tenants = std::vector<Tenant>;
using control::Usage;

constexpr double kMicro = 1e-6;

struct Counter {
  std::string_view labels;  // beside the tenant's
  std::uint64_t Usage::*figure;
};
// A family of counters, of those that have run since the dashboard started.
void counters(Writer &out, const Tenants &tenants, std::string_view name, std::string_view help,
              std::initializer_list<Counter> series, double scale = 1) {
  out.family(name, Kind::kCounter, help);
  std::string labels;
  for (const auto &tenant : tenants) {
    if (!tenant.live->sample) continue;
    for (const auto &[more, figure] : series) {
      labels = tenant.label;
      if (!more.empty()) labels.append(",").append(more);
      out.value(labels, static_cast<double>(tenant.live->sample->total.*figure) * scale);
    }
  }
}

// Of all tenants; absent ones are left out.
void gauges(Writer &out, const Tenants &tenants, std::string_view name, std::string_view help,
            const std::function<std::optional<double>(const TenantLive &)> &figure) {
  out.family(name, Kind::kGauge, help);
  for (const auto &tenant : tenants)
    if (const auto number = figure(*tenant.live)) out.value(tenant.label, *number);
}

// `buckets`: each its own, by base/latency_buckets.h.
void histogram(Writer &out, const Tenant &tenant, const std::vector<std::uint64_t> &buckets,
               std::uint64_t sum_us) {
  static const auto bounds = [] {
    std::array<std::string, kLatencyBuckets> texts;
    for (std::size_t i = 0; i < kLatencyBoundsMs.size(); ++i) {
      std::array<char, 32> digits{};
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                     static_cast<double>(kLatencyBoundsMs[i]) / 1000)
                           .ptr;
      // OpenMetrics: le is a float as it is written canonically, "1.0" and not "1".
      texts[i] = ",le=\"" + std::string(digits.data(), end);
      if (texts[i].find('.') == std::string::npos) texts[i] += ".0";
      texts[i] += '"';
    }
    texts.back() = ",le=\"+Inf\"";
    return texts;
  }();
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (i < buckets.size()) sum += buckets[i];
    out.series({tenant.label, bounds[i]}, static_cast<double>(sum), "_bucket");
  }
  out.value(tenant.label, static_cast<double>(sum_us) * kMicro, "_sum");
  out.value(tenant.label, static_cast<double>(sum), "_count");
}

// The gauge of a sandbox: 0 where there is none.
std::function<std::optional<double>(const TenantLive &)> of_sample(
    std::uint64_t control::TenantSample::*figure) {
  return [figure](const TenantLive &live) {
    return live.running ? static_cast<double>(*live.sample.*figure) : 0.0;
  };
}

void host(Writer &out, const LiveData &data, const std::vector<ProcessFigures> &processes) {
  out.family("paddock_up", Kind::kGauge, "Whether the supervisor answers.");
  out.value({}, data.up() ? 1 : 0);
  const auto &host = data.host();
  if (!host) return;
  out.family("paddock_info", Kind::kGauge, "What runs; always 1.");
  out.value(label("version", host->version) + "," + label("php", host->php_version) + "," +
                label("hierarchy", host->hierarchy),
            1);
  out.family("paddock_start_time_seconds", Kind::kGauge, "When the supervisor started, Unix time.");
  out.value({}, static_cast<double>(host->started_at));
  out.family("paddock_program_up", Kind::kGauge, "Whether a program of Paddock runs.");
  out.value(label("program", "gateway"), host->gateway_pid != 0 ? 1 : 0);
  out.value(label("program", "zygote"), host->zygote_pid != 0 && !host->php_version.empty() ? 1 : 0);
  out.family("paddock_controllers_missing", Kind::kGauge,
             "Controllers that this host's cgroup v2 lacks: limits that need them are not enforced.");
  out.value({}, static_cast<double>(host->missing_controllers.size()));
  out.family("paddock_process_cpu_seconds", Kind::kCounter, "CPU time of a program of Paddock.");
  for (const auto &process : processes) out.value(label("program", process.program), process.cpu_seconds);
  out.family("paddock_process_resident_memory_bytes", Kind::kGauge,
             "Resident memory of a program of Paddock.");
  for (const auto &process : processes)
    out.value(label("program", process.program), static_cast<double>(process.resident_bytes));
  out.family("paddock_sample_time_seconds", Kind::kGauge, "When the tenants' figures were read, Unix time.");
  out.value({}, static_cast<double>(data.sampled_at_ms()) / 1e3);
  out.family("paddock_tenants", Kind::kGauge, "Tenants, by state.");
  std::array<std::size_t, control::kTenantStates.size()> by_state{};
  for (const auto &[name, live] : data.tenants()) ++by_state[static_cast<std::size_t>(live.status.state)];
  for (std::size_t i = 0; i < by_state.size(); ++i)
    out.value(label("state", control::kTenantStates[i]), static_cast<double>(by_state[i]));
}

void resources(Writer &out, const Tenants &tenants) {
  counters(out, tenants, "paddock_tenant_cpu_seconds", "CPU time.",
           {{R"(mode="user")", &Usage::cpu_user_us}, {R"(mode="system")", &Usage::cpu_system_us}}, kMicro);
  counters(out, tenants, "paddock_tenant_cpu_throttled_seconds",
           "Time in which the plan's CPU quota had run out, summed over CPUs.",
           {{{}, &Usage::cpu_throttled_us}}, kMicro);
  gauges(out, tenants, "paddock_tenant_memory_bytes", "Memory that is charged to the sandbox.",
         of_sample(&control::TenantSample::memory_bytes));
  out.family("paddock_tenant_memory_part_bytes", Kind::kGauge, "The same, by what it is used for.");
  static constexpr std::pair<std::string_view, std::uint64_t control::TenantSample::*> kParts[] = {
      {R"(,part="anon")", &control::TenantSample::anon_bytes},
      {R"(,part="file")", &control::TenantSample::file_bytes},
      {R"(,part="kernel")", &control::TenantSample::kernel_bytes},
      {R"(,part="shmem")", &control::TenantSample::shmem_bytes},
      {R"(,part="sock")", &control::TenantSample::sock_bytes}};
  for (const auto &tenant : tenants)
    for (const auto &[part, figure] : kParts)
      if (tenant.live->running)
        out.value(tenant.label + std::string(part), static_cast<double>(*tenant.live->sample.*figure));
  gauges(out, tenants, "paddock_tenant_memory_limit_bytes", "What the plan allows.",
         [](const TenantLive &live) -> std::optional<double> {
           if (!live.status.memory_max_bytes) return {};
           return static_cast<double>(*live.status.memory_max_bytes);
         });
  gauges(out, tenants, "paddock_tenant_swap_bytes", "Swap in use.",
         of_sample(&control::TenantSample::swap_bytes));
  counters(out, tenants, "paddock_tenant_memory_limit_hits", "Times that memory was at its limit.",
           {{R"(limit="high")", &Usage::memory_high_events}, {R"(limit="max")", &Usage::memory_max_events}});
  counters(out, tenants, "paddock_tenant_oom_kills", "Processes killed for want of memory.",
           {{{}, &Usage::oom_kills}});
  counters(
      out, tenants, "paddock_tenant_io_bytes", "Bytes from and to disks.",
      {{R"(direction="read")", &Usage::io_read_bytes}, {R"(direction="write")", &Usage::io_written_bytes}});
  counters(out, tenants, "paddock_tenant_io_operations", "Operations of disks.",
           {{R"(direction="read")", &Usage::io_reads}, {R"(direction="write")", &Usage::io_writes}});
  gauges(out, tenants, "paddock_tenant_processes", "Processes and threads in the sandbox.",
         of_sample(&control::TenantSample::pids));
  counters(out, tenants, "paddock_tenant_forks_refused", "Forks refused by the plan's limit of processes.",
           {{{}, &Usage::forks_refused}});
  counters(out, tenants, "paddock_tenant_pressure_stalled_seconds",
           "Time in which some, or all, of the tenant's tasks waited for a resource (PSI).",
           {{R"(resource="cpu",tasks="some")", &Usage::cpu_some_us},
            {R"(resource="memory",tasks="some")", &Usage::memory_some_us},
            {R"(resource="memory",tasks="full")", &Usage::memory_full_us},
            {R"(resource="io",tasks="some")", &Usage::io_some_us},
            {R"(resource="io",tasks="full")", &Usage::io_full_us}},
           kMicro);
  counters(out, tenants, "paddock_tenant_network_bytes", "Bytes on the tenant's own network.",
           {{R"(direction="in")", &Usage::net_in_bytes}, {R"(direction="out")", &Usage::net_out_bytes}});
}

void refusals(Writer &out, const Tenants &tenants) {
  out.family("paddock_tenant_refusals", Kind::kCounter,
             "Requests that were refused, by the reason that was told.");
  // What the supervisor and the gateway give (X-Paddock-Reason); of a later version's there is one series.
  static constexpr std::array<std::string_view, 18> kReasons = {
      "blocked",     "frozen",       "unusable",     "start-failed", "queue-full",   "queue-time",
      "body-size",   "slow-clients", "receive-time", "spool-full",   "apache-limit", "backlog-full",
      "not-running", "header-size",  "unread",       "removed",      "machine-full", "other"};
  static const auto labels = [] {
    std::array<std::string, kReasons.size()> texts;
    for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = "," + label("reason", kReasons[i]);
    return texts;
  }();
  for (const auto &tenant : tenants) {
    const auto &refused = tenant.live->status.refused_for;
    if (!tenant.live->sample && refused.empty()) continue;
    std::array<std::uint64_t, kReasons.size()> counts{};
    for (const auto &[reason, requests] : refused) {
      const auto found = std::find(kReasons.begin(), kReasons.end() - 1, reason);
      counts[static_cast<std::size_t>(found - kReasons.begin())] += requests;
    }
    for (std::size_t i = 0; i < counts.size(); ++i)
      out.series({tenant.label, labels[i]}, static_cast<double>(counts[i]));
  }
}

void requests(Writer &out, const Tenants &tenants) {
  counters(out, tenants, "paddock_tenant_requests", "Requests, by what became of them.",
           {{R"(outcome="answered")", &Usage::requests},
            {R"(outcome="refused")", &Usage::refused},
            {R"(outcome="late")", &Usage::late}});
  out.family("paddock_tenant_request_duration_seconds", Kind::kHistogram, "How long workers ran requests.");
  for (const auto &tenant : tenants)
    if (const auto &sample = tenant.live->sample)
      histogram(out, tenant, sample->requests_by_time, sample->requests_time_us);
  out.family("paddock_tenant_responses", Kind::kCounter,
             "Answers of workers, by the class of their status; none: the connection ended without one.");
  static constexpr std::array<std::string_view, 6> kClasses = {R"(,code="none")", R"(,code="1xx")",
                                                               R"(,code="2xx")",  R"(,code="3xx")",
                                                               R"(,code="4xx")",  R"(,code="5xx")"};
  for (const auto &tenant : tenants) {
    if (!tenant.live->sample) continue;
    const auto &classes = tenant.live->sample->requests_by_class;
    for (std::size_t i = 0; i < kClasses.size(); ++i)
      out.series({tenant.label, kClasses[i]}, i < classes.size() ? static_cast<double>(classes[i]) : 0);
  }
  out.family("paddock_tenant_queue_duration_seconds", Kind::kHistogram,
             "How long requests waited for a worker, of those that had to.");
  for (const auto &tenant : tenants)
    if (tenant.live->sample)
      histogram(out, tenant, tenant.live->status.queued_by_time, tenant.live->status.queue_us);
  refusals(out, tenants);
  out.family(
      "paddock_tenant_connections_held", Kind::kGauge,
      "Connections that the gateway holds, by what they wait for: a free worker (the queue), the rest of "
      "their request, or a client that reads.");
  for (const auto &tenant : tenants) {
    const auto &status = tenant.live->status;
    out.series({tenant.label, R"(,waits_for="worker")"}, status.queue);
    out.series({tenant.label, R"(,waits_for="request")"}, status.slow_clients);
    out.series({tenant.label, R"(,waits_for="client")"}, status.unread);
  }
  counters(out, tenants, "paddock_tenant_request_bytes", "Bodies of requests and responses.",
           {{R"(direction="in")", &Usage::bytes_in}, {R"(direction="out")", &Usage::bytes_out}});
  gauges(out, tenants, "paddock_tenant_workers", "Worker processes.", [](const TenantLive &live) {
    return live.running ? static_cast<double>(live.sample->workers) : 0.0;
  });
  gauges(out, tenants, "paddock_tenant_workers_busy", "Workers that run a request now.",
         [](const TenantLive &live) { return live.running ? static_cast<double>(live.sample->busy) : 0.0; });
  gauges(out, tenants, "paddock_tenant_workers_limit", "What the plan allows.",
         [](const TenantLive &live) { return static_cast<double>(live.status.workers_max); });
  counters(out, tenants, "paddock_tenant_mails", "Messages that the host's MTA took, or that were refused.",
           {{R"(outcome="sent")", &Usage::mails}, {R"(outcome="refused")", &Usage::mails_refused}});
  counters(out, tenants, "paddock_tenant_starts", "Cold starts: sandboxes that were started.",
           {{{}, &Usage::starts}});
  counters(out, tenants, "paddock_tenant_crashes", "Sandboxes and workers that ended without being asked to.",
           {{{}, &Usage::crashes}});
  out.family("paddock_tenant_state", Kind::kGauge, "The tenant's state; always 1.");
  for (const auto &tenant : tenants)
    out.value(tenant.label + "," + label("state", name_of(tenant.live->status.state)), 1);
}

}  // namespace

MetricsFormat metrics_format(std::string_view accept) {
  return accept.find("application/openmetrics-text") != std::string_view::npos ? MetricsFormat::kOpenMetrics
                                                                               : MetricsFormat::kText;
}

std::string content_type(MetricsFormat format) {
  return format == MetricsFormat::kOpenMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                               : "text/plain; version=0.0.4; charset=utf-8";
}

std::optional<ProcessFigures> process_figures(const std::string &program, int pid) {
  if (pid <= 0) return {};
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return {};
  const std::size_t close = stat->rfind(')');
  if (close == std::string::npos) return {};
  std::istringstream fields(stat->substr(close + 1));
  std::string skipped;
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  std::uint64_t resident = 0;
  // proc(5): utime is the 14th field, rss the 24th.
  for (int field = 3; field <= 13; ++field) fields >> skipped;
  fields >> user >> system;
  for (int field = 16; field <= 23; ++field) fields >> skipped;
  fields >> resident;
  if (!fields) return {};
  return ProcessFigures{program,
                        static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK)),
                        resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
}

std::string metrics(const LiveData &data, const std::vector<ProcessFigures> &processes,
                    MetricsFormat format) {
  Writer out(format);
  host(out, data, processes);
  Tenants tenants;
  tenants.reserve(data.tenants().size());
  for (const auto &[name, live] : data.tenants()) tenants.push_back({label("tenant", name), &live});
  resources(out, tenants);
  requests(out, tenants);
  return out.finish();
}

}  // namespace paddock::dashboard
