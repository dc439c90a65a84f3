// What a visitor sees of a request that the gateway refuses: a CGI response, headers and page.
#pragma once

#include <string>

#include "base/result.h"
#include "protocols/gateway_link/gateway_link.h"

namespace paddock::fcgi_gateway {

// What a refused request gets, and why: the reason is counted.
struct Response {
  std::string text;
  std::string reason;

  bool operator==(const Response &) const = default;
};

// The largest page that a Refusal may carry, bytes: with its headers it fits one FCGI_STDOUT record and an
// empty socket buffer, so that a refusal is one send(2).
inline constexpr std::size_t kMaxPage = std::size_t{16} * 1024;

// The response as RFC 3875 section 6 has it: Status, Content-Type, Content-Length, Cache-Control, Retry-After
// (unless 0) and X-Paddock-Reason, then the page, or a built-in one where refusal.page is empty. Error: a
// status outside 400 to 599 or a page over kMaxPage. A reason is reduced to letters, digits, '.', '_' and
// '-', so it cannot add a header.
[[nodiscard]] Result<Response> refusal_response(const gateway_link::Refusal &refusal);

}  // namespace paddock::fcgi_gateway
