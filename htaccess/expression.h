// The tree of a condition, between its parser and its evaluation.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "htaccess/regex.h"

namespace paddock::htaccess::expression {

enum class Kind {
  // Conditions.
  kConstant,    // text: "true" or "false"
  kNot,         // one condition
  kOr,          // two or more
  kAnd,         // two or more
  kUnary,       // text: the operator's letter; one word
  kBinary,      // text: the operator's name; two words
  kCompare,     // text: == != < <= > >= as strings, eq ne lt le gt ge as integers; two words
  kRegexMatch,  // text: =~ or !~; one word, regex
  kIn,          // a word, then the list's words
  kInFunction,  // text: a function that gives a list
  // Words.
  kString,    // text
  kVariable,  // text: its name
  kCall,      // text: the function's name; its arguments
  kConcat,    // words
  kGroup,     // text: the digit of $0 to $9
};

struct Node {
  Kind kind = Kind::kString;
  std::string text;
  std::vector<Node> children;
  std::optional<Regex> regex;
};

}  // namespace paddock::htaccess::expression
