#include "accounting/snapshot.h"

#include <algorithm>
#include <cstdio>

namespace paddock::accounting {
namespace {

// Length of the well-formed UTF-8 sequence that the text begins with (Unicode 15, table 3-7); 0: none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  const unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < lowest || byte(1) > highest) return 0;
  for (std::size_t at = 2; at < length; ++at)
    if ((byte(at) & 0xc0) != 0x80) return 0;
  return length;
}

void field(std::string &json, const char *name, std::uint64_t value) {
  json += json.back() == '{' ? "\"" : ",\"";
  json += name;
  json += "\":" + std::to_string(value);
}

void field(std::string &json, const char *name, std::string_view text) {
  json += json.back() == '{' ? "\"" : ",\"";
  json += name;
  json += "\":" + json_string(text);
}

void field(std::string &json, const char *name, double percent) {
  char text[32];
  // std::clamp keeps NaN, which JSON does not know: the comparison turns it into 0.
  std::snprintf(text, sizeof text, "%.2f", percent > 0 ? std::min(percent, 1e6) : 0.0);
  json += json.back() == '{' ? "\"" : ",\"";
  json += name;
  json += "\":";
  json += text;
}

std::uint64_t milliseconds(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(std::max<std::chrono::milliseconds::rep>(time.count(), 0));
}

}  // namespace

std::string json_string(std::string_view text, std::size_t limit) {
  std::string json = "\"";
  std::string_view rest = text.substr(0, limit);
  while (!rest.empty()) {
    std::size_t length = utf8_length(rest);
    const auto c = static_cast<unsigned char>(rest.front());
    if (length == 0) {
      json += "\\ufffd";
      length = 1;
    } else if (c == '"' || c == '\\') {
      json += '\\';
      json += rest.front();
    } else if (c < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", unsigned{c});
      json += escape;
    } else {
      json += rest.substr(0, length);
    }
    rest.remove_prefix(length);
  }
  return json + '"';
}

std::string Snapshot::to_json() const {
  std::string json = "{";
  field(json, "memory_bytes", gauges.memory_bytes);
  field(json, "memory_peak_bytes", gauges.memory_peak_bytes);
  field(json, "anon_bytes", gauges.anon_bytes);
  field(json, "file_bytes", gauges.file_bytes);
  field(json, "kernel_bytes", gauges.kernel_bytes);
  field(json, "shmem_bytes", gauges.shmem_bytes);
  field(json, "sock_bytes", gauges.sock_bytes);
  field(json, "swap_bytes", gauges.swap_bytes);
  field(json, "pids", gauges.pids);
  field(json, "cpu_some_avg10", gauges.cpu_some_avg10);
  field(json, "memory_full_avg10", gauges.memory_full_avg10);
  field(json, "io_full_avg10", gauges.io_full_avg10);
  field(json, "process_count", std::max<std::uint64_t>(process_count, processes.size()));
  json += ",\"processes\":[";
  std::size_t end = json.size() + kMaxList;
  for (std::size_t at = 0; at < std::min(processes.size(), kMaxProcesses) && json.size() < end; ++at) {
    const Process &process = processes[at];
    json += at == 0 ? "{" : ",{";
    field(json, "pid", static_cast<std::uint64_t>(std::max(process.pid, 0)));
    field(json, "title", process.title);
    field(json, "state", std::string_view(&process.state, 1));
    field(json, "resident_bytes", process.resident_bytes);
    field(json, "cpu_ms", process.cpu_ms);
    json += '}';
  }
  json += "],\"request_count\":" + std::to_string(requests.size()) + ",\"requests\":[";
  end = json.size() + kMaxList;
  for (std::size_t at = 0; at < std::min(requests.size(), kMaxRequests) && json.size() < end; ++at) {
    const Request &request = requests[at];
    json += at == 0 ? "{" : ",{";
    field(json, "method", request.method);
    field(json, "uri", request.uri);
    field(json, "script", request.script);
    field(json, "age_ms", milliseconds(request.age));
    json += '}';
  }
  return json + "]}";
}

}  // namespace paddock::accounting
