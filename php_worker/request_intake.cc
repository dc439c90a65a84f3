#include "php_worker/request_intake.h"

#include <charconv>
#include <string>

#include "php_worker/environment_repair.h"
#include "php_worker/pool_view.h"
#include "php_worker/sapi.h"
#include "php_worker/sapi_request.h"
#include "php_worker/status_page.h"

namespace paddock::php_worker {
namespace {

// CONTENT_LENGTH as a number; false where it is none (RFC 3875, 4.1.2: digits).
bool parse_content_length(std::string_view text, std::int64_t &length) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc() && end == text.data() + text.size() && length >= 0;
}

// True: it was the status or the ping page, and is answered.
bool answer_page(Connection &connection, const Params &params) {
  const std::string_view name = params.get("SCRIPT_NAME");
  Page page;
  if (!serving().ping_path.empty() && name == serving().ping_path) {
    page = {"text/plain", serving().ping_response};
  } else if (!serving().status_path.empty() && name == serving().status_path &&
             pool_view().board != nullptr) {
    page = status_page(params.get("QUERY_STRING"));
  } else {
    return false;
  }
  const std::string head =
      std::string(powered_by()) +
      "Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: no-cache, no-store, must-revalidate, "
      "max-age=0\r\nContent-type: " +
      page.type + (page.type.starts_with("text/") ? ";charset=UTF-8" : "") + "\r\n\r\n";
  connection.write(head.data(), head.size());
  if (params.get("REQUEST_METHOD") != "HEAD") connection.write(page.body.data(), page.body.size());
  connection.finish();
  return true;
}

Intake bad_request(Connection &connection, std::string_view why) {
  log_line("bad request", why);
  return {true, answer_plainly(connection, "400 Bad Request", "Bad request.\n"), -1};
}

}  // namespace

unsigned answer_plainly(Connection &connection, std::string_view status, std::string_view body) {
  static constexpr std::string_view kHead = "Status: ";
  static constexpr std::string_view kType = "\r\nContent-type: text/html; charset=UTF-8\r\n\r\n";
  connection.write(kHead.data(), kHead.size());
  connection.write(status.data(), status.size());
  connection.write(kType.data(), kType.size());
  connection.write(body.data(), body.size());
  connection.finish();
  unsigned code = 0;
  std::from_chars(status.data(), status.data() + status.size(), code);
  return code;
}

Intake take_request(Connection &connection, Params &params) {
  if (!params.decode(connection.params())) return bad_request(connection, params.problem());
  // A request without a method is no CGI request: PHP-FPM ends it without a word too.
  if (params.get("REQUEST_METHOD").empty()) {
    log_line("bad request", "no REQUEST_METHOD");
    connection.finish();
    return {true, 0, -1};
  }
  if (answer_page(connection, params)) return {true, 200, -1};
  repair_environment(params, serving().repairs);
  Intake intake;
  if (const std::string_view text = params.get("CONTENT_LENGTH");
      !text.empty() && !parse_content_length(text, intake.content_length))
    return bad_request(connection, "CONTENT_LENGTH is not a number");
  return intake;
}

}  // namespace paddock::php_worker
