#include "dashboard/page_json.h"

#include <boost/json.hpp>
#include <cmath>

namespace paddock::dashboard {
namespace {

namespace json = boost::json;

// Enough for a chart, and a third of the digits.
double rounded(double value) {
  return std::round(value * 100) / 100;
}

json::value optional(const std::optional<std::uint64_t> &value) {
  return value ? json::value(*value) : json::value(nullptr);
}
json::value optional(const std::optional<std::int64_t> &value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::object machine_object(const LiveData &data) {
  const Machine &machine = data.machine();
  return {{"cpus", machine.cpus},
          {"cpu", rounded(machine.cpu_percent)},
          {"load", machine.load},
          {"memory", machine.memory_bytes},
          {"available", machine.memory_available_bytes}};
}

// The figures of a tick, in the order that frontend/src/model.ts reads.
json::array row(const std::string &name, const TenantLive &live) {
  const auto &status = live.status;
  json::array row;
  row.reserve(15);
  row.emplace_back(name);
  row.emplace_back(name_of(status.state));
  row.emplace_back(rounded(live.rates.cpu_percent));
  row.emplace_back(live.running ? live.sample->memory_bytes : 0);
  row.emplace_back(rounded(live.rates.requests_per_s));
  row.emplace_back(rounded(live.rates.refused_per_s));
  row.emplace_back(live.running ? live.sample->busy : 0);
  row.emplace_back(live.running ? live.sample->workers : 0);
  row.emplace_back(live.running ? live.sample->pids : 0);
  row.emplace_back(rounded(live.rates.io_bytes_per_s));
  row.emplace_back(rounded(live.rates.run_ms));
  row.emplace_back(rounded(live.rates.queue_ms));
  row.emplace_back(live.sample ? live.sample->total.oom_kills + live.sample->total.crashes : 0);
  row.emplace_back(live.sample ? live.sample->total.forks_refused + live.sample->total.late : 0);
  row.emplace_back(status.refused);
  return row;
}

json::object tenant_object(const std::string &name, const TenantLive &live) {
  const auto &status = live.status;
  json::array history;
  history.reserve(live.history.size());
  for (const auto &point : live.history)
    history.push_back(json::array{point.time_ms, rounded(point.cpu_percent),
                                  static_cast<std::uint64_t>(point.memory_bytes),
                                  rounded(point.requests_per_s)});
  return {{"name", name},
          {"user", status.user},
          {"plan", status.plan},
          {"problem", status.problem},
          {"block_reason", status.block_reason},
          {"block_until", optional(status.block_until)},
          {"started_at", optional(status.started_at)},
          {"workers_max", status.workers_max},
          {"memory_max", optional(status.memory_max_bytes)},
          {"row", row(name, live)},
          {"history", std::move(history)}};
}

json::object event_object(const control::Event &event) {
  return {
      {"id", event.id},       {"time_ms", event.time_ms}, {"tenant", event.tenant},    {"kind", event.kind},
      {"actor", event.actor}, {"text", event.text},       {"snapshot", event.snapshot}};
}

}  // namespace

std::string error_json(std::string_view code, std::string_view message) {
  return json::serialize(json::object{{"error", {{"code", code}, {"message", message}}}});
}

std::string session_json(const Session &session) {
  return json::serialize(json::object{
      {"role", session.admin ? "admin" : "tenant"}, {"tenant", session.tenant}, {"csrf", session.csrf}});
}

Result<std::map<std::string, std::string>> flat_object(std::string_view text) {
  json::parse_options options;
  options.max_depth = 2;
  try {
    json::error_code failure;
    const auto value = json::parse({text.data(), text.size()}, failure, {}, options);
    const auto *object = failure ? nullptr : value.if_object();
    if (object == nullptr) return Error{"the body must be a JSON object"};
    std::map<std::string, std::string> out;
    for (const auto &member : *object) {
      const std::string key(member.key());
      if (const auto *string = member.value().if_string()) {
        out[key] = std::string(string->data(), string->size());
      } else if (const auto *number = member.value().if_int64()) {
        out[key] = std::to_string(*number);
      } else {
        return Error{"each member of the body must be a string or an integer"};
      }
    }
    return out;
  } catch (const std::exception &exception) {
    return Error{std::string("the body is not valid JSON: ") + exception.what()};
  }
}

std::string overview_json(const LiveData &data, const Session &session) {
  json::array tenants;
  for (const auto &[name, live] : data.tenants())
    if (session.may_see(name)) tenants.push_back(tenant_object(name, live));
  json::object out{{"time_ms", data.sampled_at_ms()}, {"up", data.up()}, {"tenants", std::move(tenants)}};
  if (session.admin) out["machine"] = machine_object(data);
  if (session.admin && data.host()) {
    const auto &host = *data.host();
    json::array missing;
    for (const auto &name : host.missing_controllers) missing.push_back(json::value(name));
    json::array plans;
    for (const auto &name : host.plans) plans.push_back(json::value(name));
    out["host"] = json::object{{"version", host.version},        {"php", host.php_version},
                               {"started_at", host.started_at},  {"gateway", host.gateway_pid != 0},
                               {"zygote", host.zygote_pid != 0}, {"missing", std::move(missing)},
                               {"plans", std::move(plans)}};
  }
  return json::serialize(out);
}

std::string tick_json(const LiveData &data, const Session &session) {
  json::array rows;
  for (const auto &[name, live] : data.tenants())
    if (session.may_see(name) && (live.running || live.status.state != control::TenantState::kStopped))
      rows.push_back(row(name, live));
  json::object out{{"time_ms", data.sampled_at_ms()}, {"up", data.up()}, {"rows", std::move(rows)}};
  if (session.admin) out["machine"] = machine_object(data);
  return json::serialize(out);
}

std::string events_json(const std::deque<control::Event> &events, std::uint64_t after,
                        const Session &session) {
  json::array out;
  for (const auto &event : events)
    if (event.id > after && session.may_see(event.tenant)) out.push_back(event_object(event));
  return json::serialize(out);
}

}  // namespace paddock::dashboard
