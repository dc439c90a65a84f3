#include <array>
#include <utility>

#include "htaccess/condition.h"
#include "htaccess/expression.h"

namespace paddock::htaccess {
namespace {

using expression::Kind;
using expression::Node;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_name(char c) {
  return is_letter(c) || is_digit(c) || c == '_';
}
constexpr bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

enum class TokenKind {
  kEnd,
  kOr,
  kAnd,
  kNot,
  kTrue,
  kFalse,
  kCompare,   // text as Kind::kCompare has it
  kRegex,     // =~ !~
  kIn,        // in, -in
  kUnary,     // -f
  kBinary,    // -name
  kConcat,    // .
  kQuote,     // ' or "
  kVariable,  // %{
  kGroup,     // $1
  kDigits,
  kName,
  kPunctuation,  // ( ) { } ,
  kPattern,      // the / or the m# that starts a regular expression
  kBad,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;
};

struct Word {
  const char *spelling;
  TokenKind kind;
  const char *text;
};

// Longest first where one starts another.
constexpr std::array kSymbols = {
    Word{"==", TokenKind::kCompare, "=="}, Word{"=~", TokenKind::kRegex, "=~"},
    Word{"=", TokenKind::kCompare, "=="},  Word{"!=", TokenKind::kCompare, "!="},
    Word{"!~", TokenKind::kRegex, "!~"},   Word{"!", TokenKind::kNot, ""},
    Word{"<=", TokenKind::kCompare, "<="}, Word{"<", TokenKind::kCompare, "<"},
    Word{">=", TokenKind::kCompare, ">="}, Word{">", TokenKind::kCompare, ">"},
    Word{"&&", TokenKind::kAnd, ""},       Word{"||", TokenKind::kOr, ""},
    Word{".", TokenKind::kConcat, ""},
};
constexpr std::array kNames = {
    Word{"and", TokenKind::kAnd, ""},      Word{"or", TokenKind::kOr, ""},
    Word{"not", TokenKind::kNot, ""},      Word{"in", TokenKind::kIn, ""},
    Word{"eq", TokenKind::kCompare, "eq"}, Word{"ne", TokenKind::kCompare, "ne"},
    Word{"lt", TokenKind::kCompare, "lt"}, Word{"le", TokenKind::kCompare, "le"},
    Word{"gt", TokenKind::kCompare, "gt"}, Word{"ge", TokenKind::kCompare, "ge"},
    Word{"true", TokenKind::kTrue, ""},    Word{"false", TokenKind::kFalse, ""},
};

constexpr std::string_view kPatternDelimiters = "/#$%^|?!'\",;:._-";

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { advance(); }

  Result<Node> parse() {
    PADDOCK_TRY(Node node, parse_or(0));
    if (token_.kind != TokenKind::kEnd) return unexpected();
    return node;
  }

 private:
  Error unexpected() const {
    if (token_.kind == TokenKind::kEnd) return Error{"syntax error, unexpected end"};
    return Error{"syntax error, unexpected '" + std::string(token_.text) + "'"};
  }

  bool at(std::string_view punctuation) const {
    return token_.kind == TokenKind::kPunctuation && token_.text == punctuation;
  }

  // A token of `length` bytes at the front, given as `text`.
  void take(TokenKind kind, std::size_t length, std::string_view text) {
    token_ = {kind, text};
    text_.remove_prefix(length);
  }
  void take(TokenKind kind, std::size_t length) { take(kind, length, text_.substr(0, length)); }

  void advance() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\t' || text_[0] == '\n'))
      text_.remove_prefix(1);
    if (text_.empty()) return take(TokenKind::kEnd, 0);
    const char c = text_[0];
    const char next = text_.size() > 1 ? text_[1] : '\0';
    if (text_.starts_with("%{")) return take(TokenKind::kVariable, 2);
    if (c == '$' && is_digit(next)) return take(TokenKind::kGroup, 2);
    if (c == '\'' || c == '"') return take(TokenKind::kQuote, 1);
    if (c == '/') return take(TokenKind::kPattern, 1);
    if (is_digit(c) || (c == '-' && is_digit(next))) {
      std::size_t length = 1;
      while (length < text_.size() && is_digit(text_[length])) ++length;
      return take(TokenKind::kDigits, length);
    }
    if (c == '-' && (is_letter(next) || next == '_')) return advance_operator();
    if (is_letter(c)) return advance_name(next);
    for (const Word &symbol : kSymbols)
      if (text_.starts_with(symbol.spelling))
        return take(symbol.kind, std::string_view(symbol.spelling).size(), symbol.text);
    if (std::string_view("(){},").find(c) != std::string_view::npos) return take(TokenKind::kPunctuation, 1);
    take(TokenKind::kBad, 1);
  }

  void advance_operator() {
    std::size_t length = 2;
    while (length < text_.size() && is_name(text_[length])) ++length;
    const std::string_view name = text_.substr(1, length - 1);
    for (const Word &word : kNames)
      if (name == word.spelling && (word.kind == TokenKind::kCompare || word.kind == TokenKind::kIn))
        return take(word.kind, length, word.text);
    take(length == 2 ? TokenKind::kUnary : TokenKind::kBinary, length, name);
  }

  void advance_name(char next) {
    std::size_t length = 1;
    while (length < text_.size() && is_name(text_[length])) ++length;
    const std::string_view name = text_.substr(0, length);
    if (name == "m" && next != '\0' && kPatternDelimiters.find(next) != std::string_view::npos)
      return take(TokenKind::kPattern, 2);
    for (const Word &word : kNames)
      if (name == word.spelling) return take(word.kind, length, word.text);
    take(TokenKind::kName, length);
  }

  Result<Node> parse_or(int depth) { return parse_chain(depth, TokenKind::kOr); }

  Result<Node> parse_chain(int depth, TokenKind joint) {
    const auto operand = [&] {
      return joint == TokenKind::kOr ? parse_chain(depth, TokenKind::kAnd) : parse_not(depth);
    };
    PADDOCK_TRY(Node first, operand());
    if (token_.kind != joint) return first;
    Node node{joint == TokenKind::kOr ? Kind::kOr : Kind::kAnd, {}, {}, {}};
    node.children.push_back(std::move(first));
    while (token_.kind == joint) {
      advance();
      PADDOCK_TRY(Node further, operand());
      node.children.push_back(std::move(further));
    }
    return node;
  }

  Result<Node> parse_not(int depth) {
    bool negate = false;
    for (; token_.kind == TokenKind::kNot; advance()) negate = !negate;
    PADDOCK_TRY(Node node, parse_condition(depth));
    if (!negate) return node;
    Node result{Kind::kNot, {}, {}, {}};
    result.children.push_back(std::move(node));
    return result;
  }

  Result<Node> parse_condition(int depth) {
    if (token_.kind == TokenKind::kTrue || token_.kind == TokenKind::kFalse) {
      Node node{Kind::kConstant, token_.kind == TokenKind::kTrue ? "true" : "false", {}, {}};
      advance();
      return node;
    }
    if (at("(")) {
      if (depth >= Condition::kMaxDepth) return Error{"nested too deeply"};
      advance();
      PADDOCK_TRY(Node node, parse_or(depth + 1));
      PADDOCK_CHECK(expect(")"));
      return node;
    }
    if (token_.kind == TokenKind::kUnary) {
      Node node{Kind::kUnary, std::string(token_.text), {}, {}};
      advance();
      PADDOCK_TRY(Node word, parse_word(depth));
      node.children.push_back(std::move(word));
      return node;
    }
    PADDOCK_TRY(Node word, parse_word(depth));
    Node node{Kind::kCompare, std::string(token_.text), {}, {}};
    node.children.push_back(std::move(word));
    switch (token_.kind) {
      case TokenKind::kCompare:
      case TokenKind::kBinary: {
        if (token_.kind == TokenKind::kBinary) node.kind = Kind::kBinary;
        advance();
        PADDOCK_TRY(Node right, parse_word(depth));
        node.children.push_back(std::move(right));
        return node;
      }
      case TokenKind::kRegex: {
        node.kind = Kind::kRegexMatch;
        advance();
        PADDOCK_TRY(node.regex, parse_pattern());
        return node;
      }
      case TokenKind::kIn:
        advance();
        PADDOCK_CHECK(parse_list(depth, node));
        return node;
      default:
        return unexpected();
    }
  }

  Result<void> parse_list(int depth, Node &node) {
    node.kind = Kind::kIn;
    if (at("{")) {
      do {
        advance();
        PADDOCK_TRY(Node word, parse_word(depth));
        node.children.push_back(std::move(word));
      } while (at(","));
      return expect("}");
    }
    if (token_.kind != TokenKind::kName) return unexpected();
    node.kind = Kind::kInFunction;
    PADDOCK_TRY(const Node call, parse_call(depth));
    node.text = call.text;
    return {};
  }

  Result<void> expect(std::string_view punctuation) {
    if (!at(punctuation)) return unexpected();
    advance();
    return {};
  }

  Result<Node> parse_word(int depth) {
    PADDOCK_TRY(Node first, parse_single_word(depth));
    if (token_.kind != TokenKind::kConcat) return first;
    Node node{Kind::kConcat, {}, {}, {}};
    node.children.push_back(std::move(first));
    while (token_.kind == TokenKind::kConcat) {
      advance();
      PADDOCK_TRY(Node further, parse_single_word(depth));
      node.children.push_back(std::move(further));
    }
    return node;
  }

  Result<Node> parse_single_word(int depth) {
    switch (token_.kind) {
      case TokenKind::kDigits:
      case TokenKind::kGroup: {
        const bool group = token_.kind == TokenKind::kGroup;
        Node node{
            group ? Kind::kGroup : Kind::kString, std::string(token_.text.substr(group ? 1 : 0)), {}, {}};
        advance();
        return node;
      }
      case TokenKind::kQuote: {
        // The token after it is taken from behind the closing quote.
        const char quote = token_.text[0];
        PADDOCK_TRY(Node node, parse_string(quote, depth));
        advance();
        return node;
      }
      case TokenKind::kVariable: {
        PADDOCK_TRY(Node node, parse_variable(depth));
        advance();
        return node;
      }
      case TokenKind::kName:
        return parse_call(depth);
      default:
        return unexpected();
    }
  }

  // NAME(word, …), from the token of the name.
  Result<Node> parse_call(int depth) {
    if (depth >= Condition::kMaxDepth) return Error{"nested too deeply"};
    Node node{Kind::kCall, std::string(token_.text), {}, {}};
    advance();
    if (!at("(")) return unexpected();
    do {
      advance();
      PADDOCK_TRY(Node word, parse_word(depth + 1));
      node.children.push_back(std::move(word));
    } while (at(","));
    PADDOCK_CHECK(expect(")"));
    return node;
  }

  // One character or escape sequence of a string at text_. False: a sequence that Apache refuses, or a bare
  // control character.
  bool take_character(std::string &into) {
    const char c = text_[0];
    if (c != '\\' || text_.size() < 2) {
      if (is_control(c)) return false;
      into += c;
      text_.remove_prefix(1);
      return true;
    }
    const char escape = text_[1];
    if (escape == '\n') return false;
    std::size_t length = 2;
    if (is_digit(escape)) {
      unsigned value = 0;
      for (length = 1; length < text_.size() && length < 4 && text_[length] >= '0' && text_[length] <= '7';
           ++length)
        value = value * 8 + static_cast<unsigned>(text_[length] - '0');
      if (length == 1 || value > 0xFF) return false;
      into += static_cast<char>(value);
    } else {
      constexpr std::string_view kFrom = "nrtbf", kTo = "\n\r\t\b\f";
      const std::size_t known = kFrom.find(escape);
      if (known == std::string_view::npos && is_control(escape)) return false;
      into += known == std::string_view::npos ? escape : kTo[known];
    }
    text_.remove_prefix(length);
    return true;
  }

  // The text at text_ up to `end`, which is taken, with the variables and groups in it.
  Result<Node> parse_string(char end, int depth) {
    Node node{Kind::kConcat, {}, {}, {}};
    std::string literal;
    const auto flush = [&] {
      if (!literal.empty()) node.children.push_back({Kind::kString, std::exchange(literal, {}), {}, {}});
    };
    for (;;) {
      if (text_.empty()) return Error{"Unterminated string or variable"};
      if (text_[0] == end) break;
      if (text_.starts_with("%{")) {
        flush();
        text_.remove_prefix(2);
        PADDOCK_TRY(Node variable, parse_variable(depth));
        node.children.push_back(std::move(variable));
      } else if (text_[0] == '$' && text_.size() > 1 && is_digit(text_[1])) {
        flush();
        node.children.push_back({Kind::kGroup, std::string(text_.substr(1, 1)), {}, {}});
        text_.remove_prefix(2);
      } else if (!take_character(literal)) {
        return Error{"Invalid string character or escape sequence"};
      }
    }
    text_.remove_prefix(1);
    flush();
    if (node.children.size() == 1) return Node(std::move(node.children.front()));
    return node;
  }

  // What follows %{, up to and with the }.
  Result<Node> parse_variable(int depth) {
    if (depth >= Condition::kMaxDepth) return Error{"nested too deeply"};
    std::size_t length = 0;
    while (length < text_.size() && is_name(text_[length])) ++length;
    if (length == 0 || !is_letter(text_[0]) || length == text_.size())
      return Error{"syntax error in a variable's name"};
    Node node{Kind::kVariable, std::string(text_.substr(0, length)), {}, {}};
    const char next = text_[length];
    text_.remove_prefix(length + 1);
    if (next == '}') return node;
    if (next != ':') return Error{"Unexpected variable character"};
    node.kind = Kind::kCall;
    PADDOCK_TRY(Node argument, parse_string('}', depth + 1));
    node.children.push_back(std::move(argument));
    return node;
  }

  // A regular expression, from the token that starts it.
  Result<std::optional<Regex>> parse_pattern() {
    if (token_.kind != TokenKind::kPattern) return unexpected();
    const std::size_t end = text_.find(token_.text.back());
    if (end == std::string_view::npos) return Error{"Unterminated regexp"};
    const std::string_view pattern = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    RegexFlags flags;
    // The one flag that 2.4 has.
    flags.ignore_case = text_.starts_with('i');
    if (flags.ignore_case) text_.remove_prefix(1);
    if (!text_.empty() && (is_letter(text_[0]) || is_digit(text_[0]))) return Error{"Invalid regexp flag(s)"};
    auto regex = Regex::compile(pattern, flags);
    if (!regex) return Error{"Failed to compile regular expression: " + regex.error().message()};
    advance();
    return std::optional<Regex>(std::move(*regex));
  }

  std::string_view text_;  // behind token_
  Token token_;
};

}  // namespace

Result<Condition> Condition::parse(std::string_view text) {
  auto root = Parser(text).parse();
  if (!root) return std::move(root).error();
  return Condition(std::make_shared<const Node>(std::move(*root)));
}

}  // namespace paddock::htaccess
