#include "accounting/usage_row.h"

#include <algorithm>

namespace paddock::accounting {
namespace {

struct PeakField {
  const char *name;
  std::uint64_t Peaks::*member;
};
constexpr PeakField kPeaks[] = {{"memory_peak_bytes", &Peaks::memory_bytes}, {"pids_peak", &Peaks::pids}};

template <typename Counter, typename Peak>
std::string join(Counter counter, Peak peak) {
  std::string text;
  const auto append = [&text](const std::string &part) { text += text.empty() ? part : ", " + part; };
  for (const CounterField &field : counter_fields()) append(counter(std::string(field.name)));
  for (const PeakField &field : kPeaks) append(peak(std::string(field.name)));
  return text;
}

}  // namespace

const std::string &usage_columns() {
  static const std::string columns = [] {
    const auto name = [](const std::string &column) { return column; };
    return join(name, name);
  }();
  return columns;
}

const std::string &usage_aggregates() {
  static const std::string aggregates = join([](const std::string &column) { return "sum(" + column + ")"; },
                                             [](const std::string &column) { return "max(" + column + ")"; });
  return aggregates;
}

std::string usage_upsert(const std::string &table, const std::string &keys) {
  const auto columns = 1 + std::count(usage_columns().begin(), usage_columns().end(), ',') + 1 +
                       std::count(keys.begin(), keys.end(), ',');
  std::string sql = "INSERT INTO " + table + "(" + keys + ", " + usage_columns() + ") VALUES(?";
  for (auto left = columns - 1; left > 0; --left) sql += ", ?";
  return sql + ") ON CONFLICT(" + keys + ") DO UPDATE SET " +
         join([](const std::string &column) { return column + " = " + column + " + excluded." + column; },
              [](const std::string &column) {
                return column + " = max(" + column + ", excluded." + column + ")";
              });
}

void bind_usage(Statement &statement, const Usage &usage) {
  for (const CounterField &field : counter_fields()) statement.bind(usage.counters.*field.member);
  for (const PeakField &field : kPeaks) statement.bind(usage.peaks.*field.member);
}

Usage read_usage(const Statement &statement, int first) {
  Usage usage;
  for (const CounterField &field : counter_fields())
    usage.counters.*field.member = statement.counter(first++);
  for (const PeakField &field : kPeaks) usage.peaks.*field.member = statement.counter(first++);
  return usage;
}

}  // namespace paddock::accounting
