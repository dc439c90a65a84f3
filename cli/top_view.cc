#include "cli/top_view.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "cli/text.h"

namespace paddock::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value < 9.95 ? "%.1f" : "%.0f", value);
  return text.data();
}

std::string left(std::string text, std::size_t width) {
  if (text.size() > width) {
    text.resize(width == 0 ? 0 : width - 1);
    text += '+';  // there is more
  }
  text.resize(width, ' ');
  return text;
}

std::string right(const std::string &text, std::size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}

struct Column {
  const char *title;
  TopOrder order;
  std::size_t width;
};
// STATE has no order; it comes behind the name.
constexpr std::size_t kStateWidth = 11;
constexpr std::array kColumns = {
    Column{"CPU%", TopOrder::kCpu, 6},       Column{"MEM", TopOrder::kMemory, 7},
    Column{"REQ/S", TopOrder::kRequests, 7}, Column{"REF/S", TopOrder::kRefused, 6},
    Column{"IO/S", TopOrder::kIo, 7},        Column{"BUSY", TopOrder::kBusy, 8},
    Column{"PIDS", TopOrder::kPids, 6},
};

std::size_t name_width(std::size_t columns) {
  std::size_t others = kStateWidth + 1;
  for (const auto &column : kColumns) others += column.width;
  return columns > others + 8 ? columns - others : 8;
}

std::array<std::string, kColumns.size()> cells(const control::TopRow &row) {
  return {number(row.cpu_percent),
          row.memory_bytes ? size_text(*row.memory_bytes) : "-",
          number(row.requests_per_s),
          number(row.refused_per_s),
          size_text(static_cast<std::uint64_t>(row.io_bytes_per_s)),
          std::to_string(row.busy) + "/" + std::to_string(row.workers_max),
          row.pids ? std::to_string(*row.pids) : "-"};
}

std::string header(const TopScreen &screen, std::size_t columns) {
  const auto mark = [&](TopOrder order, const char *title) {
    return screen.order == order ? std::string(title) + (screen.reverse ? "^" : "v") : std::string(title);
  };
  std::string line =
      left(mark(TopOrder::kName, "TENANT"), name_width(columns)) + " " + left("STATE", kStateWidth);
  for (const auto &column : kColumns) line += right(mark(column.order, column.title), column.width);
  return line;
}

std::string line_of(const control::TopRow &row, std::size_t columns) {
  std::string line = left(printable(row.tenant), name_width(columns)) + " " +
                     left(std::string(name_of(row.state)), kStateWidth);
  const auto texts = cells(row);
  for (std::size_t i = 0; i < kColumns.size(); ++i) line += right(texts[i], kColumns[i].width);
  return line;
}

std::vector<TopLine> summary(const TopModel &model, std::int64_t now) {
  double cpu = 0;
  double requests = 0;
  double refused = 0;
  std::uint64_t memory = 0;
  std::size_t running = 0;
  std::size_t barred = 0;
  const auto rows = model.rows(TopOrder::kName, false, "");
  for (const auto &row : rows) {
    cpu += row.cpu_percent;
    requests += row.requests_per_s;
    refused += row.refused_per_s;
    memory += row.memory_bytes.value_or(0);
    running += row.state == control::TenantState::kRunning ? 1 : 0;
    barred +=
        row.state == control::TenantState::kBlocked || row.state == control::TenantState::kFrozen ? 1 : 0;
  }
  std::string first = "paddock";
  std::string missing;
  if (const auto &host = model.status().host) {
    first += " " + printable(host->version) + ", up " +
             duration_text(seconds(std::max<std::int64_t>(now - host->started_at, 0)));
    for (const auto &name : host->missing_controllers) missing += " " + printable(name);
  }
  first += ": " + std::to_string(rows.size()) + " tenants, " + std::to_string(running) + " running, " +
           std::to_string(barred) + " blocked or frozen";
  std::string second = "cpu " + number(cpu) + "%  memory " + size_text(memory) + "  requests " +
                       number(requests) + "/s  refused " + number(refused) + "/s";
  if (!missing.empty()) second += "  NOT ENFORCED:" + missing;
  return {{first, false, true}, {second}};
}

std::vector<TopLine> requests_of(const TopModel &model, const TopScreen &screen, std::int64_t now) {
  const auto *const tenant = model.find(screen.selected);
  if (tenant == nullptr) return {{"no such tenant any more"}};
  std::vector<TopLine> lines;
  std::string first = printable(tenant->name) + ": " + std::string(name_of(tenant->state)) + ", plan " +
                      printable(tenant->plan) + ", user " + printable(tenant->user);
  if (tenant->started_at)
    first += ", up " + duration_text(seconds(std::max<std::int64_t>(now - *tenant->started_at, 0)));
  lines.push_back({first, false, true});
  const std::string why = tenant->block_reason.empty() ? tenant->problem : tenant->block_reason;
  if (!why.empty()) lines.push_back({printable(why)});
  lines.push_back({std::to_string(tenant->requests) + " answered, " + std::to_string(tenant->refused) +
                   " refused, " + std::to_string(tenant->workers) + " of " +
                   std::to_string(tenant->workers_max) + " workers" +
                   (tenant->memory_bytes ? ", memory " + size_text(*tenant->memory_bytes) : "") +
                   (tenant->memory_max_bytes ? " of " + size_text(*tenant->memory_max_bytes) : "")});
  lines.push_back({});
  lines.push_back({"   PID     AGE    MEM METHOD  URI, SCRIPT", true});
  for (const auto &request : tenant->running)
    lines.push_back({right(std::to_string(request.pid), 6) +
                     right(duration_text(milliseconds(static_cast<std::int64_t>(
                               std::min<std::uint64_t>(request.age_ms, INT64_MAX)))),
                           8) +
                     right(request.memory_bytes ? size_text(*request.memory_bytes) : "-", 7) + " " +
                     left(printable(request.method), 7) + " " + printable(request.uri) + ", " +
                     printable(request.script)});
  if (tenant->running.empty()) lines.push_back({"   no request runs now"});
  return lines;
}

constexpr std::array kHelp = {
    "Up Down PgUp PgDn   choose a tenant          Enter   its running requests, Esc back",
    "s S                 next, last sort key      r       the other way round",
    "P M R I N           sort by cpu, memory, requests, io, name",
    "/                   filter by name           Esc     no filter",
    "k                   kill all its processes   f t     freeze, thaw",
    "b u                 block (asks why), unblock",
    "+ -                 slower, faster           q       quit",
};

}  // namespace

std::string top_table(const std::vector<control::TopRow> &rows) {
  std::vector<std::vector<std::string>> cells_of = {
      {"TENANT", "STATE", "CPU%", "MEM", "REQ/S", "REF/S", "IO/S", "BUSY", "PIDS"}};
  for (const auto &row : rows) {
    std::vector<std::string> line = {printable(row.tenant), std::string(name_of(row.state))};
    for (const auto &cell : cells(row)) line.push_back(cell);
    cells_of.push_back(std::move(line));
  }
  return table(cells_of);
}

std::vector<TopLine> draw_top(const TopModel &model, const TopScreen &screen, std::size_t columns,
                              std::size_t lines, std::int64_t now) {
  std::vector<TopLine> picture;
  const std::size_t body = lines > 1 ? lines - 1 : 0;  // the last line is for keys and questions
  if (screen.help) {
    picture.push_back({"Keys", false, true});
    for (const char *line : kHelp) picture.push_back({line});
  } else if (screen.open) {
    picture = requests_of(model, screen, now);
  } else {
    picture = summary(model, now);
    picture.push_back({screen.filter.empty() ? "" : "filter: " + printable(screen.filter)});
    picture.push_back({header(screen, columns), true});
    const auto rows = model.rows(screen.order, screen.reverse, screen.filter);
    const auto selected = std::find_if(rows.begin(), rows.end(),
                                       [&](const auto &row) { return row.tenant == screen.selected; });
    const auto at = selected == rows.end() ? 0 : static_cast<std::size_t>(selected - rows.begin());
    const std::size_t room = body > picture.size() ? body - picture.size() : 0;
    // The selected one stays in sight.
    const std::size_t first = room > 0 && at >= room ? at - room + 1 : 0;
    for (std::size_t i = first; i < rows.size() && picture.size() < body; ++i)
      picture.push_back({line_of(rows[i], columns), rows[i].tenant == screen.selected});
  }
  picture.resize(body);
  const std::string keys =
      screen.open ? "Esc back  k kill  f freeze  t thaw  b block  u unblock  q quit"
                  : "q quit  s sort  / filter  Enter requests  k kill  f freeze  b block  ? help";
  picture.push_back({!screen.prompt.empty()    ? screen.prompt
                     : !screen.message.empty() ? screen.message
                                               : keys,
                     false, !screen.prompt.empty()});
  for (auto &line : picture)
    if (line.text.size() > columns) line.text = left(line.text, columns);
  return picture;
}

}  // namespace paddock::cli
