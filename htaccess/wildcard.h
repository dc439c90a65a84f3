// Shell wildcards as apr_fnmatch() reads them: * ? [a-z] [!a-z] and backslash.
#pragma once

#include <string_view>

namespace paddock::htaccess {

struct WildcardFlags {
  bool path = false;  // '/' is matched by '/' only
  bool ignore_case = false;
};

// Whether `text` as a whole matches. Takes at most the product of the lengths.
[[nodiscard]] bool wildcard_match(std::string_view pattern, std::string_view text, WildcardFlags flags = {});
// Whether `pattern` holds a wildcard at all (apr_fnmatch_test()); what holds none is compared byte by byte,
// backslashes included.
[[nodiscard]] bool has_wildcard(std::string_view pattern);

}  // namespace paddock::htaccess
