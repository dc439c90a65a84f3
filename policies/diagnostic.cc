#include "policies/diagnostic.h"

#include <algorithm>

#include "base/log.h"

namespace paddock::policies {
namespace {

// Optimal string alignment distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// As log::quoted() escapes, without its quotes, which parts of the text have of their own. toml++ quotes raw
// bytes of the file in its messages, and names of files may hold any but NUL and '/'.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f) {
      out += c;
    } else {
      const std::string escaped = log::quoted({&c, 1});
      out.append(escaped, 1, escaped.size() - 2);
    }
  }
  return out;
}

}  // namespace

std::string Location::to_string() const {
  if (line == 0) return file;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string Diagnostic::explanation() const {
  std::string out = key.empty() ? message : key + ": " + message;
  if (!expected.empty()) out += "; expected " + expected;
  if (!found.empty()) out += (expected.empty() ? "; found " : ", found ") + found;
  if (!nearest.empty()) out += "; did you mean " + log::quoted(nearest) + "?";
  return plain(out);
}

std::string Diagnostic::to_string() const {
  return plain(where.to_string()) + (severity == Severity::kError ? ": error: " : ": warning: ") +
         explanation();
}

std::string nearest_of(std::string_view word, const std::vector<std::string> &candidates) {
  constexpr std::size_t kLongestWord =
      128;  // no key is that long, and the distance costs the product of both lengths
  if (word.size() > kLongestWord) return {};
  const std::size_t farthest = word.size() / 3 + 1;
  std::size_t least = farthest + 1;
  std::string best;
  for (const auto &candidate : candidates) {
    if (candidate.size() > kLongestWord || candidate.size() > word.size() + farthest ||
        word.size() > candidate.size() + farthest)
      continue;
    const std::size_t distance = edit_distance(word, candidate);
    // A candidate of which nothing is left is no misspelling.
    if (distance < least && distance < candidate.size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace paddock::policies
