// A request and its answer, as the routes see them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace paddock::dashboard {

struct HttpRequest {
  std::string method;
  std::string path;  // decoded
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> cookies;
  std::string host;
  std::string origin;
  std::string authorization;
  std::string accept;
  std::string csrf;  // X-Paddock-CSRF
  std::string content_type;
  std::string from;  // the peer's address, and the client's, where a proxy on this machine names it
  std::string body;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  bool cacheable = false;  // for ever: the name changes with the content
  bool stream = false;     // Api::stream() goes on, as text/event-stream
};

// {"error":{"code":"…","message":"…"}}
[[nodiscard]] HttpResponse error_response(unsigned status, std::string_view code, std::string_view message);

// "/a%20b?x=1&y=2" to path and query. Error: not well-formed, with what was expected.
Result<void> split_target(std::string_view target, HttpRequest &request);
[[nodiscard]] std::map<std::string, std::string> parse_cookies(std::string_view header);

}  // namespace paddock::dashboard
