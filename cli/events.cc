#include "cli/events.h"

#include <algorithm>
#include <ctime>
#include <ostream>
#include <sstream>

#include "cli/text.h"

namespace paddock::cli {
namespace {

using std::chrono::milliseconds;

std::string indented(const std::string &text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) out += "    " + line + "\n";
  return out;
}

std::string age_text(std::uint64_t ms) {
  return duration_text(milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(ms, INT64_MAX))));
}

void print(const Session &session, const EventsOptions &options, const control::Events &events) {
  for (const auto &event : events.events) {
    if (session.json) {
      session.out << to_json(event) << '\n';
    } else {
      session.out << line_of(event);
      if (options.snapshots) session.out << snapshot_of(event);
    }
  }
  session.out.flush();
}

}  // namespace

std::string line_of(const control::Event &event) {
  std::string line = time_text(event.time_ms / 1000) + "  " +
                     (event.tenant.empty() ? std::string("-") : printable(event.tenant)) + "  " +
                     printable(event.kind) + "  " +
                     (event.actor.empty() ? std::string("paddock") : printable(event.actor));
  if (!event.text.empty()) line += "  " + printable(event.text, 1024);
  return line + "\n";
}

std::string snapshot_of(const control::Event &event) {
  if (event.snapshot.empty()) return {};
  const auto snapshot = control::result_from_json<control::EventSnapshot>(event.snapshot);
  if (!snapshot) return {};
  if (snapshot->process_count == 0 && snapshot->requests.empty()) return {};
  std::string out = "memory " + size_text(snapshot->memory_bytes) + ", at most " +
                    size_text(snapshot->memory_peak_bytes) + "; " + std::to_string(snapshot->process_count) +
                    " processes\n";
  if (!snapshot->requests.empty()) {
    std::vector<std::vector<std::string>> rows = {{"AGE", "METHOD", "URI", "SCRIPT"}};
    for (const auto &request : snapshot->requests)
      rows.push_back({age_text(request.age_ms), printable(request.method), printable(request.uri),
                      printable(request.script)});
    out += table(rows);
  }
  if (!snapshot->processes.empty()) {
    std::vector<std::vector<std::string>> rows = {{"PID", "STATE", "MEMORY", "CPU", "TITLE"}};
    for (const auto &process : snapshot->processes)
      rows.push_back({std::to_string(process.pid), printable(process.state),
                      size_text(process.resident_bytes), age_text(process.cpu_ms), printable(process.title)});
    out += table(rows);
  }
  return indented(out);
}

ExitStatus events(const Session &session, const EventsOptions &options) {
  control::Request request{control::Command::kEvents, options.tenant, "", {}};
  if (!options.since.empty()) {
    request.since = parse_past(options.since, std::time(nullptr));
    if (!request.since) return session.fail(ExitStatus::kUsage, "--since: " + std::string(kPastExpected));
  }
  request.limit = options.limit;
  request.follow = options.follow;
  const auto show = [&](const control::Events &events) {
    print(session, options, events);
    return static_cast<bool>(session.out);
  };
  if (options.follow) return follow<control::Events>(session, request, show);
  return run<control::Events>(session, request, [&](const control::Events &events) { show(events); });
}

}  // namespace paddock::cli
