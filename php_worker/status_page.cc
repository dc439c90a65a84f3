#include "php_worker/status_page.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>

#include "base/monotonic.h"
#include "php_worker/pool_view.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {
namespace {

using scoreboard::State;

enum class Format : std::uint8_t { kText, kJson, kXml, kHtml, kOpenMetrics };

// A line of the page. In FPM's order, under FPM's names.
struct Item {
  std::string name;
  std::string text;
  bool number = true;
  std::string metric = {};  // its name in OpenMetrics, behind phpfpm_; empty: not there
  std::string kind = {};
};
using Items = std::vector<Item>;

Item number(std::string name, std::uint64_t value, std::string metric = {}, std::string kind = {}) {
  return {std::move(name), std::to_string(value), true, std::move(metric), std::move(kind)};
}

Item text(std::string name, std::string value) {
  return {std::move(name), std::move(value), false};
}

// A time is a number for programs, "24/Nov/2026:16:51:26 +0000" for people.
Item time_of(std::string name, std::uint64_t seconds, Format format) {
  if (format == Format::kJson || format == Format::kXml) return number(std::move(name), seconds);
  const auto when = static_cast<std::time_t>(seconds);
  tm parts{};
  ::localtime_r(&when, &parts);
  std::array<char, 64> formatted{};
  const std::size_t size = std::strftime(formatted.data(), formatted.size(), "%d/%b/%Y:%H:%M:%S %z", &parts);
  return text(std::move(name), {formatted.data(), size});
}

Items pool_items(Format format) {
  const PoolFigures figures = pool_figures();
  return {
      text("pool", pool_view().name),
      text("process manager", "ondemand"),
      time_of("start time", static_cast<std::uint64_t>(std::time(nullptr)) - figures.since_s, format),
      number("start since", figures.since_s, "start_since", "counter"),
      number("accepted conn", figures.accepted, "accepted_connections", "counter"),
      number("listen queue", figures.queue, "listen_queue", "gauge"),
      number("max listen queue", figures.queue_most, "max_listen_queue", "counter"),
      number("listen queue len", figures.queue_limit, "listen_queue_length", "gauge"),
      number("idle processes", figures.idle, "idle_processes", "gauge"),
      number("active processes", figures.active, "active_processes", "gauge"),
      number("total processes", figures.workers, "total_processes", "gauge"),
      number("max active processes", figures.active_most, "max_active_processes", "counter"),
      number("max children reached", figures.limit_reached, "max_children_reached", "counter"),
      number("slow requests", figures.slow, "slow_requests", "counter"),
  };
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.2f",
                whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return text.data();
}

Items process_items(const scoreboard::SlotView &slot, Format format) {
  const std::uint64_t now_ns = monotonic_ns();
  const std::uint64_t age = slot.since_ns == 0 || slot.since_ns > now_ns ? 0 : now_ns - slot.since_ns;
  const std::uint64_t since = age / 1'000'000'000;
  const bool busy = slot.state == State::kBusy;
  return {
      number("pid", static_cast<std::uint64_t>(std::max(slot.pid, 0))),
      text("state", busy ? "Running" : "Idle"),
      time_of("start time", static_cast<std::uint64_t>(std::time(nullptr)) - since, format),
      number("start since", since),
      number("requests", slot.requests + (busy ? 1 : 0)),
      number("request duration", busy ? age / 1'000 : 0),
      text("request method", slot.method.empty() ? "-" : slot.method),
      text("request URI", slot.uri.empty() ? "-" : slot.uri),
      number("content length", slot.content_length),
      text("user", "-"),
      text("script", slot.script.empty() ? "-" : slot.script),
      {"last request cpu", percent(slot.last_cpu_ns, slot.last_taken_ns)},
      number("last request memory", slot.last_memory),
  };
}

std::string escaped(std::string_view value, Format format) {
  std::string out;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = byte < 0x20 || byte >= 0x7f;
    if (control && format == Format::kJson) {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "\\u%04x", byte);
      out += code.data();
    } else if (control) {
      out += '?';
    } else if (format == Format::kJson && (c == '"' || c == '\\')) {
      out += {'\\', c};
    } else if ((format == Format::kXml || format == Format::kHtml) &&
               std::string_view("<>&\"'").find(c) != std::string_view::npos) {
      out += "&#" + std::to_string(byte) + ";";
    } else {
      out += c;
    }
  }
  return out;
}

std::string as_text(const Items &items, std::size_t width) {
  std::string out;
  for (const Item &item : items) {
    out += item.name + ":";
    out.append(width > item.name.size() + 1 ? width - item.name.size() - 1 : 1, ' ');
    out += escaped(item.text, Format::kText) + "\n";
  }
  return out;
}

std::string as_json(const Items &items) {
  std::string out;
  for (const Item &item : items) {
    // FPM: lower case in JSON.
    std::string name = item.name == "request URI" ? "request uri" : item.name;
    out += (out.empty() ? "\"" : ",\"") + name + "\":";
    out += item.number ? item.text : "\"" + escaped(item.text, Format::kJson) + "\"";
  }
  return out;
}

std::string as_xml(const Items &items) {
  std::string out;
  for (const Item &item : items) {
    std::string name = item.name == "request URI" ? "request-uri" : item.name;
    std::replace(name.begin(), name.end(), ' ', '-');
    out += "<" + name + ">" + escaped(item.text, Format::kXml) + "</" + name + ">\n";
  }
  return out;
}

std::string as_rows(const Items &items) {
  std::string out;
  for (const Item &item : items)
    out += "<tr><th>" + item.name + "</th><td>" + escaped(item.text, Format::kHtml) + "</td></tr>\n";
  return out;
}

std::string as_metrics(Items items) {
  // Alerts are written for this one.
  items.insert(items.begin(), number("the pool answers", 1, "up", "gauge"));
  std::string out;
  for (const Item &item : items) {
    if (item.metric.empty()) continue;
    const std::string metric = "phpfpm_" + item.metric;
    out += "# HELP " + metric + " " + item.name + "\n# TYPE " + metric + " " + item.kind + "\n" + metric +
           " " + item.text + "\n";
  }
  return out;
}

Format format_of(std::string_view query) {
  const auto has = [query](std::string_view word) { return query.find(word) != std::string_view::npos; };
  if (has("html")) return Format::kHtml;
  if (has("xml")) return Format::kXml;
  if (has("json")) return Format::kJson;
  if (has("openmetrics")) return Format::kOpenMetrics;
  return Format::kText;
}

}  // namespace

Page status_page(std::string_view query) {
  const Format format = format_of(query);
  const Items items = pool_items(format);
  std::vector<Items> processes;
  if (query.find("full") != std::string_view::npos)
    for (const scoreboard::Slot &slot : pool_view().board->slots)
      if (const auto view = scoreboard::read_slot(slot); view.state != State::kEmpty)
        processes.push_back(process_items(view, format));
  const bool full = !processes.empty();
  Page page;
  switch (format) {
    case Format::kText:
      page = {"text/plain", as_text(items, 22)};
      for (const Items &process : processes)
        page.body += "\n************************\n" + as_text(process, 22);
      break;
    case Format::kJson:
      page = {"application/json", "{" + as_json(items)};
      if (full) page.body += ",\"processes\":[";
      for (std::size_t i = 0; i < processes.size(); ++i)
        page.body += (i == 0 ? "{" : ",{") + as_json(processes[i]) + "}";
      page.body += full ? "]}" : "}";
      break;
    case Format::kXml:
      page = {"text/xml", "<?xml version=\"1.0\" ?>\n<status>\n" + as_xml(items)};
      if (full) page.body += "<processes>\n";
      for (const Items &process : processes) page.body += "<process>\n" + as_xml(process) + "</process>\n";
      page.body += full ? "</processes>\n</status>\n" : "</status>\n";
      break;
    case Format::kHtml:
      page = {"text/html",
              "<!DOCTYPE html>\n<html lang=\"en\"><head><title>PHP-FPM Status "
              "Page</title></head><body>\n<table>\n" +
                  as_rows(items) + "</table>\n"};
      for (const Items &process : processes) page.body += "<table>\n" + as_rows(process) + "</table>\n";
      page.body += "</body></html>\n";
      break;
    case Format::kOpenMetrics:
      page = {"application/openmetrics-text; version=1.0.0; charset=utf-8", as_metrics(items) + "# EOF\n"};
      break;
  }
  return page;
}

}  // namespace paddock::php_worker
