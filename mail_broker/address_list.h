// The addresses in a header field that has a list of them (RFC 5322, 3.4).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace paddock::mail_broker {

// `value`: of To, Cc or Bcc, folded or not. Display names, comments and groups are skipped. An Error, for the
// tenant to read, where something in it is no mail::is_plain_address(): what the MTA might read otherwise is
// refused, not guessed at.
[[nodiscard]] Result<std::vector<std::string>> addresses_in(std::string_view value);

}  // namespace paddock::mail_broker
