// What a plan or tenant may have beyond the usual: a setting that weakens the sandbox counts only under a
// grant, which has a name and a reason, and which doctor and status list.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/section.h"

namespace paddock::policies {

// The names that grants have.
inline constexpr std::string_view kGrantSeccomp = "seccomp";  // a profile that allows what "default" does not
inline constexpr std::string_view kGrantLearning =
    "seccomp-learning";  // unknown system calls run, and are logged
inline constexpr std::string_view kGrantIniFromWeb = "ini-from-web";  // PHP_ADMIN_VALUE from .htaccess
inline constexpr std::string_view kGrantWritableBind =
    "writable-bind";  // a host directory beyond the home, written to

inline constexpr std::string_view kGrantLooseBind =
    "loose-bind";  // a bind whose device nodes or set-ID bits are not disarmed

// [[….grant]]: each with a name and a reason; one of the same name replaces an older one.
void read_grants(Section &section, std::vector<Grant> &grants);

[[nodiscard]] bool has_grant(const std::vector<Grant> &grants, std::string_view name);

// An error at `key` of `section` unless `grants` has `name`. `what`: what the setting weakens.
void require_grant(Section &section, std::string_view key, const std::vector<Grant> &grants,
                   std::string_view name, const std::string &what);

}  // namespace paddock::policies
