#include "fcgi_gateway/refusal.h"

#include <string_view>

namespace paddock::fcgi_gateway {
namespace {

constexpr std::size_t kMaxReason = 64;

std::string_view status_text(std::uint16_t status) {
  switch (status) {
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 408:
      return "Request Timeout";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 508:
      return "Resource Limit Is Reached";
    default:
      return "Refused";
  }
}

std::string header_token(std::string_view text) {
  std::string token;
  for (const char c : text.substr(0, kMaxReason)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    token += plain ? c : '-';
  }
  return token.empty() ? "unspecified" : token;
}

std::string builtin_page(std::uint16_t status, bool comes_back) {
  const std::string title = std::to_string(status) + " " + std::string(status_text(status));
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>" + title +
         "</title></head>\n<body>\n<h1>" + title + "</h1>\n<p>This site cannot answer at the moment." +
         (comes_back ? " Please try again in a little while." : "") + "</p>\n</body>\n</html>\n";
}

}  // namespace

Result<Response> refusal_response(const gateway_link::Refusal &refusal) {
  if (refusal.status < 400 || refusal.status > 599)
    return Error{"make a refusal: status " + std::to_string(refusal.status) + " is no error"};
  if (refusal.page.size() > kMaxPage)
    return Error{"make a refusal: a page of " + std::to_string(refusal.page.size()) + " bytes, " +
                 std::to_string(kMaxPage) + " at most"};
  const std::string page =
      refusal.page.empty() ? builtin_page(refusal.status, refusal.retry_after_s != 0) : refusal.page;
  Response response;
  response.reason = header_token(refusal.reason);
  response.text =
      "Status: " + std::to_string(refusal.status) + " " + std::string(status_text(refusal.status)) +
      "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: " + std::to_string(page.size()) +
      "\r\nCache-Control: no-store\r\n";
  if (refusal.retry_after_s != 0)
    response.text += "Retry-After: " + std::to_string(refusal.retry_after_s) + "\r\n";
  if (refusal.tell_reason) response.text += "X-Paddock-Reason: " + response.reason + "\r\n";
  response.text += "\r\n" + page;
  return response;
}

}  // namespace paddock::fcgi_gateway
