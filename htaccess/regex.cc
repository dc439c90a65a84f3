#include "htaccess/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace paddock::htaccess {
namespace {

PCRE2_SPTR bytes(std::string_view text) {
  // pcre2 10.42 refuses a null pattern or subject even where its length is 0.
  return reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
}

}  // namespace

struct Regex::Code {
  Code() = default;
  Code(const Code &) = delete;
  Code &operator=(const Code &) = delete;
  ~Code() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    pcre2_code_free(pattern);
  }

  pcre2_code *pattern = nullptr;
  pcre2_match_context *context = nullptr;
  pcre2_match_data *match = nullptr;  // search() writes here: a Regex is used by one thread at a time
};

Result<Regex> Regex::compile(std::string_view pattern, RegexFlags flags) {
  std::uint32_t options = PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY;
  if (flags.ignore_case) options |= PCRE2_CASELESS;
  int code = 0;
  std::size_t offset = 0;
  auto compiled = std::make_shared<Code>();
  compiled->pattern = pcre2_compile(bytes(pattern), pattern.size(), options, &code, &offset, nullptr);
  if (compiled->pattern == nullptr) {
    unsigned char text[128] = {};
    pcre2_get_error_message(code, text, sizeof text);
    return Error{std::string(reinterpret_cast<const char *>(text)) + " at " + std::to_string(offset)};
  }
  compiled->context = pcre2_match_context_create(nullptr);
  compiled->match = pcre2_match_data_create_from_pattern(compiled->pattern, nullptr);
  if (compiled->context == nullptr || compiled->match == nullptr) return Error{"compile a pattern", ENOMEM};
  pcre2_set_match_limit(compiled->context, kMatchLimit);
  pcre2_set_heap_limit(compiled->context, kHeapLimitKib);
  return Regex(std::move(compiled));
}

Regex::Outcome Regex::search(std::string_view subject, std::vector<std::string> *groups) const {
  const int found =
      pcre2_match(code_->pattern, bytes(subject), subject.size(), 0, 0, code_->match, code_->context);
  if (found == PCRE2_ERROR_NOMATCH) return Outcome::kNoMatch;
  if (found < 0) return Outcome::kLimit;
  if (groups != nullptr) {
    groups->clear();
    const std::size_t *at = pcre2_get_ovector_pointer(code_->match);
    for (unsigned i = 0; i <= group_count(); ++i) {
      // \K in a lookahead can end a match before its start; a group that took no part is unset.
      const bool matched =
          i < static_cast<unsigned>(found) && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];
      groups->emplace_back(matched ? subject.substr(at[2 * i], at[2 * i + 1] - at[2 * i])
                                   : std::string_view());
    }
  }
  return Outcome::kMatch;
}

unsigned Regex::group_count() const {
  std::uint32_t count = 0;
  pcre2_pattern_info(code_->pattern, PCRE2_INFO_CAPTURECOUNT, &count);
  return count;
}

}  // namespace paddock::htaccess
