// The condition of an <If>: the boolean expressions of Apache 2.4 (docs/manual/expr.html,
// server/util_expr_*).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "htaccess/request.h"

namespace paddock::htaccess {

enum class Truth { kFalse, kTrue, kUndecidable };

// What a condition came to, and why it could not be decided.
struct Verdict {
  Truth truth = Truth::kFalse;
  std::string reason;
};

namespace expression {
struct Node;
}

class Condition {
 public:
  // Parentheses, and words made of words, within each other; what is deeper is refused.
  static constexpr int kMaxDepth = 64;

  // Error: it does not follow the grammar (Apache then answers 500 to every request of the directory itself),
  // or is nested too deeply. Unknown variables, functions and operators are well-formed: some module may have
  // them.
  [[nodiscard]] static Result<Condition> parse(std::string_view text);

  // File tests look at the file system as this process sees it, follow symlinks and do not block; a variable
  // or a function that cannot be known here makes what depends on it undecidable.
  [[nodiscard]] Verdict evaluate(const RequestView &request) const;

 private:
  explicit Condition(std::shared_ptr<const expression::Node> root) : root_(std::move(root)) {}

  std::shared_ptr<const expression::Node> root_;
};

}  // namespace paddock::htaccess
