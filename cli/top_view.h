// The picture that `paddock top` draws: lines of plain text for a terminal of a given size. Text that a
// tenant may have chosen is escaped in it.
#pragma once

#include <string>
#include <vector>

#include "cli/top_model.h"

namespace paddock::cli {

struct TopLine {
  std::string text;  // printable ASCII, at most `columns` long
  bool inverse = false;
  bool bold = false;
};

struct TopScreen {
  TopOrder order = TopOrder::kCpu;
  bool reverse = false;
  std::string filter;
  std::string selected;  // a tenant
  bool open = false;     // shows the selected one's requests
  bool help = false;
  std::string prompt;   // a question under way
  std::string message;  // what came of the last
};

// Exactly `lines` lines, however few (at least one).
[[nodiscard]] std::vector<TopLine> draw_top(const TopModel &model, const TopScreen &screen,
                                            std::size_t columns, std::size_t lines, std::int64_t now);
// The table alone, for --batch.
[[nodiscard]] std::string top_table(const std::vector<control::TopRow> &rows);

}  // namespace paddock::cli
