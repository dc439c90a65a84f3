// Addresses of mail, as the envelope has them.
#pragma once

#include <string_view>

namespace paddock::mail {

// Whether `text` is an address that can stand among an MTA's arguments and means somebody there: a local part
// of RFC 5321's Dot-string, with or without a domain (or an address literal). No quoted local parts, no
// spaces, nothing but ASCII, at most 254 bytes. What an MTA may take for an option ("-C/etc/x"), a program
// ("|/bin/sh"), a file ("/etc/x") or a list (":include:/x") is none.
[[nodiscard]] bool is_plain_address(std::string_view text);

}  // namespace paddock::mail
