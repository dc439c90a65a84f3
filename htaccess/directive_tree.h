// A .htaccess file as a tree of sections with the php_* lines in them.
//
// Follows ap_build_config() of Apache's server/config.c: <IfModule>, <IfDefine> and the like are decided
// while reading and leave only what they hold; every other section becomes a node. Lines that have nothing to
// do with PHP are dropped: Apache itself obeys them, and answers 500 where it cannot.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "htaccess/server_facts.h"
#include "htaccess/settings.h"

namespace paddock::htaccess {

struct Directive {
  unsigned line = 0;      // the last physical line of it, as Apache counts
  std::string name;       // lower case; a section's with the '<'
  std::string written;    // as it stands in the file, for messages
  std::string arguments;  // a section's with the '>'
  std::vector<Directive> children;

  [[nodiscard]] bool is_section() const { return name.starts_with('<'); }
};

struct DirectiveTree {
  std::vector<Directive> directives;
  std::vector<Diagnostic> diagnostics;
};

// Sections within each other; Apache has no limit but its stack.
inline constexpr std::size_t kMaxSectionDepth = 64;

// Error (code 0): "FILE:LINE: …" in Apache's words, for which it answers 500. `file` only serves messages.
[[nodiscard]] Result<DirectiveTree> parse_directives(std::string_view text, const std::string &file,
                                                     const ServerFacts &facts);

// The error of a line of a file.
[[nodiscard]] Error line_error(const std::string &file, unsigned line, const std::string &message);

// "<Files> directive missing closing '>'" and its like: the text before the last '>' of a section's
// arguments.
[[nodiscard]] Result<std::string_view> section_argument(const Directive &section);

}  // namespace paddock::htaccess
