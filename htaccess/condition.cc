#include "htaccess/condition.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "htaccess/expression.h"
#include "htaccess/ip_subnet.h"
#include "htaccess/lines.h"
#include "htaccess/wildcard.h"

namespace paddock::htaccess {
namespace {

using expression::Kind;
using expression::Node;

Truth truth_of(bool value) {
  return value ? Truth::kTrue : Truth::kFalse;
}

std::string upper(std::string text) {
  for (char &c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

// -T: true for everything but "", "0", "off", "false" and "no".
bool is_set(const std::string &value) {
  return !value.empty() && value != "0" && !equal_ignoring_case(value, "off") &&
         !equal_ignoring_case(value, "false") && !equal_ignoring_case(value, "no");
}

template <typename T>
bool ordered(std::string_view op, const T &a, const T &b) {
  if (op == "==" || op == "eq") return a == b;
  if (op == "!=" || op == "ne") return a != b;
  if (op == "<" || op == "lt") return a < b;
  if (op == "<=" || op == "le") return a <= b;
  if (op == ">" || op == "gt") return a > b;
  return a >= b;
}

// Names of variables, functions and operators have no case (ap_expr_lookup_default()).
class Evaluation {
 public:
  explicit Evaluation(const RequestView &request) : request_(request) {}

  // NOLINTNEXTLINE(misc-no-recursion): bounded by Condition::kMaxDepth
  Truth condition(const Node &node) {
    switch (node.kind) {
      case Kind::kConstant:
        return truth_of(node.text == "true");
      case Kind::kNot: {
        const Truth inner = condition(node.children[0]);
        return inner == Truth::kUndecidable ? inner : truth_of(inner == Truth::kFalse);
      }
      case Kind::kOr:
        return chain(node, Truth::kTrue, Truth::kFalse);
      case Kind::kAnd:
        return chain(node, Truth::kFalse, Truth::kTrue);
      case Kind::kUnary:
        return unary(node);
      case Kind::kBinary:
        return binary(node);
      case Kind::kCompare:
        return compare(node);
      case Kind::kRegexMatch:
        return regex_match(node);
      case Kind::kIn:
        return in(node);
      default:
        return undecidable("function " + node.text + "()");
    }
  }

  [[nodiscard]] const std::string &reason() const { return reason_; }

 private:
  Truth undecidable(const std::string &what) {
    if (reason_.empty()) reason_ = what;
    return Truth::kUndecidable;
  }

  // Whatever is undecidable does not matter where another operand settles the chain.
  Truth chain(const Node &node, Truth settles, Truth otherwise) {
    Truth result = otherwise;
    for (const Node &child : node.children) {
      const Truth truth = condition(child);
      if (truth == settles) return settles;
      if (truth == Truth::kUndecidable) result = truth;
    }
    return result;
  }

  Truth unary(const Node &node) {
    const auto value = word(node.children[0]);
    if (!value) return Truth::kUndecidable;
    switch (node.text[0]) {
      case 'n':
        return truth_of(!value->empty());
      case 'z':
        return truth_of(value->empty());
      case 'T':
        return truth_of(is_set(*value));
      case 'R':
        return in_subnet(request_.variable("REMOTE_ADDR").value_or(""), *value);
      case 'd':
      case 'e':
      case 'f':
      case 's':
      case 'h':
      case 'L':
        return file_test(node.text[0], *value);
      default:
        return undecidable("operator -" + node.text);
    }
  }

  static Truth file_test(char test, const std::string &path) {
    struct stat status {};
    const bool link = test == 'h' || test == 'L';
    const int failed = link ? ::lstat(path.c_str(), &status) : ::stat(path.c_str(), &status);
    if (path.empty() || failed != 0) return Truth::kFalse;
    if (link) return truth_of(S_ISLNK(status.st_mode));
    if (test == 'd') return truth_of(S_ISDIR(status.st_mode));
    if (test == 'f') return truth_of(S_ISREG(status.st_mode));
    return truth_of(test == 'e' || status.st_size > 0);
  }

  Truth in_subnet(const std::string &address, const std::string &subnet) {
    const auto parsed_address = IpAddress::parse(address);
    const auto parsed_subnet = IpSubnet::parse(subnet);
    // Apache would look a host name up; a request does not wait for that here.
    if (!parsed_address || !parsed_subnet)
      return undecidable("address \"" + address + "\" in \"" + subnet + "\"");
    return truth_of(parsed_subnet->contains(*parsed_address));
  }

  Truth binary(const Node &node) {
    const auto left = word(node.children[0]);
    const auto right = word(node.children[1]);
    if (!left || !right) return Truth::kUndecidable;
    const std::string name = lowercase(node.text);
    if (name == "strmatch") return truth_of(wildcard_match(*right, *left));
    if (name == "strcmatch") return truth_of(wildcard_match(*right, *left, {.ignore_case = true}));
    if (name == "fnmatch") return truth_of(wildcard_match(*right, *left, {.path = true}));
    if (name == "ipmatch") return in_subnet(*left, *right);
    return undecidable("operator -" + node.text);
  }

  Truth compare(const Node &node) {
    const auto left = word(node.children[0]);
    const auto right = word(node.children[1]);
    if (!left || !right) return Truth::kUndecidable;
    const bool numbers = node.text[0] >= 'a';
    if (!numbers) return truth_of(ordered(node.text, *left, *right));
    return truth_of(ordered(node.text, std::strtoll(left->c_str(), nullptr, 10),
                            std::strtoll(right->c_str(), nullptr, 10)));
  }

  Truth regex_match(const Node &node) {
    const auto subject = word(node.children[0]);
    const bool captures = node.regex->group_count() > 0;
    if (!subject) {
      if (captures) groups_known_ = false;
      return Truth::kUndecidable;
    }
    // Only a pattern with groups touches $0 to $9.
    const Regex::Outcome outcome = node.regex->search(*subject, captures ? &groups_ : nullptr);
    if (captures) {
      groups_known_ = true;
      if (outcome != Regex::Outcome::kMatch) groups_.clear();
    }
    if (outcome == Regex::Outcome::kLimit) return undecidable("a pattern that takes too long");
    return truth_of((outcome == Regex::Outcome::kMatch) == (node.text == "=~"));
  }

  Truth in(const Node &node) {
    const auto needle = word(node.children[0]);
    if (!needle) return Truth::kUndecidable;
    Truth result = Truth::kFalse;
    for (std::size_t i = 1; i < node.children.size(); ++i) {
      const auto element = word(node.children[i]);
      if (!element)
        result = Truth::kUndecidable;
      else if (*element == *needle)
        return Truth::kTrue;
    }
    return result;
  }

  // nullopt: undecidable, and said why.
  // NOLINTNEXTLINE(misc-no-recursion): bounded by Condition::kMaxDepth
  std::optional<std::string> word(const Node &node) {
    switch (node.kind) {
      case Kind::kString:
        return node.text;
      case Kind::kVariable: {
        auto value = request_.variable(upper(node.text));
        if (!value) undecidable("%{" + node.text + "}");
        return value;
      }
      case Kind::kGroup: {
        if (!groups_known_) return std::nullopt;
        const auto index = static_cast<std::size_t>(node.text[0] - '0');
        return index < groups_.size() ? groups_[index] : std::string();
      }
      case Kind::kConcat: {
        std::string whole;
        for (const Node &child : node.children) {
          const auto part = word(child);
          if (!part) return std::nullopt;
          whole += *part;
        }
        return whole;
      }
      default:
        return call(node);
    }
  }

  std::optional<std::string> call(const Node &node) {
    const auto argument = word(node.children[0]);
    if (!argument) return std::nullopt;
    if (node.children.size() == 1) {
      const std::string name = lowercase(node.text);
      if (name == "tolower") return lowercase(*argument);
      if (name == "toupper") return upper(*argument);
      if (name == "req" || name == "http" || name == "req_novary") {
        auto value = request_.header(*argument);
        if (!value) undecidable("header " + *argument);
        return value;
      }
    }
    undecidable("function " + node.text + "()");
    return std::nullopt;
  }

  const RequestView &request_;
  std::vector<std::string> groups_;
  bool groups_known_ = true;
  std::string reason_;
};

}  // namespace

Verdict Condition::evaluate(const RequestView &request) const {
  Evaluation evaluation(request);
  const Truth truth = evaluation.condition(*root_);
  return {truth, truth == Truth::kUndecidable ? evaluation.reason() : std::string()};
}

}  // namespace paddock::htaccess
