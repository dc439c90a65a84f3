// What programs tell a sendmail on its command line.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace paddock::sendmail {

struct Arguments {
  bool from_headers = false;  // -t
  bool ignore_dots = false;   // -i, -oi: a line with nothing but a dot does not end the message
  std::string sender;         // -f, -r
  std::vector<std::string> recipients;
};

// Those that submit a message. What asks for another mode (-bs, -bd, -q, -C FILE, ...) is an Error: nothing
// of it could reach the host's MTA anyway.
[[nodiscard]] Result<Arguments> parse_arguments(const std::vector<std::string> &arguments);

}  // namespace paddock::sendmail
