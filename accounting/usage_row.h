// A Usage as columns: how totals, minutes, hours and days are written and read.
#pragma once

#include <string>

#include "accounting/counters.h"
#include "accounting/database.h"

namespace paddock::accounting {

// "cpu_user_us, …, pids_peak"
[[nodiscard]] const std::string &usage_columns();
// "sum(cpu_user_us), …, max(pids_peak)"
[[nodiscard]] const std::string &usage_aggregates();
// INSERT INTO table(keys, columns) that adds to the row where there is one. Parameters: keys, then
// bind_usage().
[[nodiscard]] std::string usage_upsert(const std::string &table, const std::string &keys);

void bind_usage(Statement &statement, const Usage &usage);
// From the columns first, first + 1, ….
[[nodiscard]] Usage read_usage(const Statement &statement, int first);

}  // namespace paddock::accounting
