#include "php_worker/programs/program_request.h"

#include <unistd.h>

#include "php_worker/request_intake.h"
#include "php_worker/sapi.h"
#include "php_worker/sapi_request.h"
#include "protocols/fastcgi/params.h"

namespace paddock::php_worker::programs {

ProgramRequest take_program_request(Connection &connection, Params &params, bool script) {
  ProgramRequest request;
  const Intake intake = take_request(connection, params);
  if (intake.answered) {
    request.answered = true;
    request.status = intake.status;
    return request;
  }
  const std::uint32_t repairs = serving().repairs;
  const bool splits = script && (repairs & zygote_link::kPathInfo) != 0;
  request.script = locate_script(params, splits ? ScriptRule::kSplit : ScriptRule::kAsSent,
                                 (repairs & zygote_link::kProxyPrefix) != 0);
  if (!script) return request;
  const char *path = request.script.path;
  const auto refuse = [&](std::string_view why, std::string_view status, std::string_view text) {
    log_line(why, path == nullptr ? "no SCRIPT_FILENAME" : path);
    request.answered = true;
    request.status = answer_plainly(connection, status, text);
  };
  if (request.script.outcome == Script::Outcome::kMissing) {
    refuse("Script not found", "404 Not Found", "File not found.\n");
  } else if (request.script.outcome == Script::Outcome::kForbidden) {
    refuse("Access denied: a directory, or not readable", "403 Forbidden", "Access denied.\n");
  } else if (::access(path, X_OK) != 0) {
    refuse("Access denied: the script is not executable", "403 Forbidden", "Access denied.\n");
  }
  return request;
}

RequestBody::RequestBody(Connection &connection)
    : connection_(connection), at_end_(fastcgi::announced_body(connection.params()) == 0) {}

std::string RequestBody::take(std::size_t limit) {
  std::string piece(limit, '\0');
  piece.resize(connection_.read_body(piece.data(), limit));
  at_end_ = piece.size() < limit;
  failed_ = !connection_.problem().empty();
  return piece;
}

}  // namespace paddock::php_worker::programs
