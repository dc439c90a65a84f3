// Perl-compatible regular expressions with the options that Apache 2.4 gives them. The only user of libpcre2.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace paddock::htaccess {

struct RegexFlags {
  bool ignore_case = false;
};

class Regex {
 public:
  enum class Outcome { kMatch, kNoMatch, kLimit };
  // What one search may cost (pcre2api(3), match limit): far above what honest patterns need, some 10 ms.
  // The pattern is the tenant's, and so is the worker that it would hold up.
  static constexpr unsigned kMatchLimit = 500'000;
  static constexpr unsigned kHeapLimitKib = 4096;

  // DOTALL and DOLLAR_ENDONLY are on, as Apache's RegexDefaultOptions has them; bytes, not UTF-8; no JIT,
  // which would need memory that is writable and executable.
  [[nodiscard]] static Result<Regex> compile(std::string_view pattern, RegexFlags flags = {});

  // Looks for a match anywhere in `subject`. With `groups`: what was matched as a whole and by each group.
  // kLimit: given up at kMatchLimit.
  [[nodiscard]] Outcome search(std::string_view subject, std::vector<std::string> *groups = nullptr) const;
  // Capturing groups in the pattern.
  [[nodiscard]] unsigned group_count() const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}

  std::shared_ptr<const Code> code_;
};

}  // namespace paddock::htaccess
