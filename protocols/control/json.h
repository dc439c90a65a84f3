// The only file that includes Boost.JSON; for the sources of this folder alone.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace paddock::control {

// One JSON text, nested at most `depth` deep, with nothing behind it but whitespace.
[[nodiscard]] Result<boost::json::value> parse_json(std::string_view text, std::size_t depth);

// `text` with every byte that is not part of well-formed UTF-8 (RFC 3629) replaced by U+FFFD: a JSON string
// must be Unicode, and a tenant's URI need not be.
[[nodiscard]] std::string to_utf8(std::string_view text);

}  // namespace paddock::control
