#include "htaccess/wildcard.h"

#include <optional>

namespace paddock::htaccess {
namespace {

char fold(char c, bool ignore_case) {
  return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

unsigned char code(char c) {
  return static_cast<unsigned char>(c);
}

struct Step {
  std::size_t length;  // of the pattern that was used
  bool matches;
};

// A bracket expression at the start of `pattern` against c. nullopt: it is never closed.
std::optional<Step> match_bracket(std::string_view pattern, char c, WildcardFlags flags) {
  std::size_t i = 1;
  const bool negate = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negate) ++i;
  bool found = false;
  for (bool first = true;; first = false) {
    if (i >= pattern.size() || (flags.path && pattern[i] == '/')) return std::nullopt;
    if (pattern[i] == ']' && !first) break;
    const auto take = [&]() -> std::optional<char> {
      if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
      if (flags.path && pattern[i] == '/') return std::nullopt;
      return pattern[i++];
    };
    const auto low = take();
    if (!low) return std::nullopt;
    auto high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      ++i;
      high = take();
      if (!high) return std::nullopt;
    }
    const unsigned char folded = code(fold(c, flags.ignore_case));
    if ((code(*low) <= code(c) && code(c) <= code(*high)) ||
        (code(fold(*low, flags.ignore_case)) <= folded && folded <= code(fold(*high, flags.ignore_case))))
      found = true;
  }
  return Step{i + 1, found != negate && !(flags.path && c == '/')};
}

// What `pattern`, which is not empty and does not start with '*', takes to match the one character c.
Step match_one(std::string_view pattern, char c, WildcardFlags flags) {
  if (pattern[0] == '?') return {1, !(flags.path && c == '/')};
  if (pattern[0] == '[')
    if (const auto bracket = match_bracket(pattern, c, flags)) return *bracket;
  const std::size_t at = pattern[0] == '\\' && pattern.size() > 1 ? 1 : 0;
  return {at + 1, fold(pattern[at], flags.ignore_case) == fold(c, flags.ignore_case)};
}

}  // namespace

bool wildcard_match(std::string_view pattern, std::string_view text, WildcardFlags flags) {
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t p = 0, t = 0;
  // The last '*': where the pattern goes on after it, and up to where it has swallowed the text. Going back
  // beyond the last one is never needed: the one before it could only end later.
  std::size_t star = kNone, swallowed = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      swallowed = t;
      continue;
    }
    if (p < pattern.size()) {
      const Step step = match_one(pattern.substr(p), text[t], flags);
      if (step.matches) {
        p += step.length;
        ++t;
        continue;
      }
    }
    if (star == kNone || (flags.path && text[swallowed] == '/')) return false;
    p = star;
    t = ++swallowed;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool has_wildcard(std::string_view pattern) {
  bool bracket = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '*' || pattern[i] == '?') return true;
    if (pattern[i] == '\\')
      ++i;
    else if (pattern[i] == '[')
      bracket = true;
    else if (pattern[i] == ']' && bracket)
      return true;
  }
  return false;
}

}  // namespace paddock::htaccess
