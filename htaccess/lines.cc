#include "htaccess/lines.h"

#include <algorithm>

namespace paddock::htaccess {
namespace {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

void skip_spaces(std::string_view &text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
}

// `raw` without the backslashes that escape a backslash or, where there is one, the quote.
std::string unescape(std::string_view raw, char quote) {
  std::string word;
  word.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\\' && i + 1 < raw.size() && (raw[i + 1] == '\\' || (quote && raw[i + 1] == quote))) ++i;
    word += raw[i];
  }
  return word;
}

}  // namespace

std::string lowercase(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string next_word(std::string_view &rest) {
  skip_spaces(rest);
  if (rest.empty()) return {};
  std::string word;
  const char first = rest.front();
  if (first == '"' || first == '\'') {
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != first) {
      const bool escape =
          rest[end] == '\\' && end + 1 < rest.size() && (rest[end + 1] == first || rest[end + 1] == '\\');
      end += escape ? 2 : 1;
    }
    word = unescape(rest.substr(1, end - 1), first);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  } else {
    std::size_t end = 0;
    while (end < rest.size() && !is_space(rest[end])) ++end;
    word = unescape(rest.substr(0, end), 0);
    rest.remove_prefix(end);
  }
  skip_spaces(rest);
  return word;
}

Result<std::optional<std::string>> LineReader::next() {
  if (rest_.empty()) return std::optional<std::string>();
  std::string line;
  while (!rest_.empty()) {
    const std::size_t end = std::min(rest_.find('\n'), rest_.size() - 1) + 1;
    std::string_view segment = rest_.substr(0, end);
    rest_.remove_prefix(end);
    ++number_;
    const std::size_t nul = segment.find('\0');
    if (nul != std::string_view::npos) segment = segment.substr(0, nul);
    line += segment;
    if (line.size() > kMaxLine) return Error{"Line too long"};
    if (line.empty() || line.back() != '\n') break;
    std::size_t text = line.size() - 1;
    if (text > 0 && line[text - 1] == '\r') --text;
    if (text == 0 || line[text - 1] != '\\') break;
    // What follows is appended where the backslash stood, so that a line of its own that is empty lets the
    // backslash before it count once more: Apache's way.
    line.resize(text - 1);
  }
  const auto begin = std::find_if_not(line.begin(), line.end(), is_space);
  const auto end = std::find_if_not(line.rbegin(), std::make_reverse_iterator(begin), is_space).base();
  return std::optional<std::string>(std::in_place, begin, end);
}

}  // namespace paddock::htaccess
