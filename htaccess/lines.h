// Apache's config files as lines and words, as ap_cfg_getline() and ap_getword_conf() of server/util.c read
// them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace paddock::htaccess {

// Spaces as C's isspace() in the "C" locale has them, whatever the process's locale.
[[nodiscard]] constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
// ASCII only: Apache's names are, and a locale must not change what a file means.
[[nodiscard]] std::string lowercase(std::string_view text);
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b);
// Takes the first word off `rest`, and the spaces around it. A word that starts with ' or " goes to the next
// such quote (or to the end); \" within and \\ anywhere lose their backslash. Empty: nothing was left.
[[nodiscard]] std::string next_word(std::string_view &rest);

// The logical lines of a file: those that end in a backslash joined with the next, spaces at both ends
// removed. A NUL ends its line.
class LineReader {
 public:
  // Bytes of a logical line with its newline; Apache's limit for .htaccess.
  static constexpr std::size_t kMaxLine = 8192;

  // `text` must outlive the reader.
  explicit LineReader(std::string_view text) : rest_(text) {}

  // nullopt: the end. Error: a line that is too long, in Apache's words.
  [[nodiscard]] Result<std::optional<std::string>> next();
  // Of the last physical line that next() read, from 1.
  [[nodiscard]] unsigned number() const { return number_; }

 private:
  std::string_view rest_;
  unsigned number_ = 0;
};

}  // namespace paddock::htaccess
