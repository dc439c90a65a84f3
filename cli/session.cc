#include "cli/session.h"

#include <ostream>

#include "cli/text.h"
#include "policies/socket_path.h"

namespace paddock::cli {
namespace {

control::ErrorCode code_for(ExitStatus status) {
  switch (status) {
    case ExitStatus::kUsage:
      return control::ErrorCode::kBadRequest;
    case ExitStatus::kNotPermitted:
      return control::ErrorCode::kNotPermitted;
    case ExitStatus::kUnknownTenant:
      return control::ErrorCode::kUnknownTenant;
    default:
      return control::ErrorCode::kFailed;
  }
}

ExitStatus status_for(const Error &error) {
  switch (error.code) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
      return ExitStatus::kNotRunning;
    case EACCES:
    case EPERM:
      return ExitStatus::kNotPermitted;
    default:
      return ExitStatus::kFailed;
  }
}

}  // namespace

ExitStatus Session::fail(ExitStatus status, const std::string &message) const {
  if (json) {
    out << control::error_reply(code_for(status), message) << '\n';
  } else {
    err << "paddock: " << message << '\n';
  }
  return status;
}

ExitStatus Session::fail(const control::Failure &failure) const {
  if (json) {
    out << control::error_reply(failure.code, failure.message) << '\n';
  } else {
    err << "paddock: " << printable(failure.message, 4096) << '\n';
  }
  return control::exit_status_of(failure.code);
}

Result<policies::Runtime> Session::runtime() const {
  auto runtime = policies::load_directories(config);
  // Who has moved nothing need not have a config, nor the right to read it, to ask.
  const bool absent = !runtime && (runtime.error().code == ENOENT || runtime.error().code == EACCES);
  if (absent && !config_given) return policies::Runtime();
  return runtime;
}

namespace {

std::variant<control::Client, NoAnswer> connect(const Session &session) {
  std::string path = session.socket;
  if (path.empty()) {
    const auto runtime = session.runtime();
    if (!runtime) return NoAnswer{ExitStatus::kUsage, {}, runtime.error().message()};
    path = policies::control_socket_path(*runtime);
  }
  auto client = control::Client::connect(path);
  if (client) return std::move(*client);
  const ExitStatus status = status_for(client.error());
  return NoAnswer{
      status,
      {},
      client.error().message() + (status == ExitStatus::kNotRunning ? ": is paddockd running?" : "")};
}

std::variant<control::Reply, NoAnswer> answer_of(Result<control::Reply> reply,
                                                 std::chrono::seconds patience) {
  if (!reply) {
    const bool late = reply.error().code == EAGAIN;
    return NoAnswer{late ? ExitStatus::kFailed : status_for(reply.error()),
                    {},
                    late ? "no answer from the supervisor within " + std::to_string(patience.count()) + " s"
                         : reply.error().message()};
  }
  if (reply->failure) return NoAnswer{control::exit_status_of(reply->failure->code), reply->failure, {}};
  return std::move(*reply);
}

}  // namespace

std::variant<control::Reply, NoAnswer> ask(const Session &session, const control::Request &request,
                                           std::chrono::seconds patience) {
  auto client = connect(session);
  if (auto *none = std::get_if<NoAnswer>(&client)) return std::move(*none);
  return answer_of(std::get<control::Client>(client).ask(request, patience), patience);
}

std::variant<Stream, NoAnswer> open_stream(const Session &session, const control::Request &request) {
  auto client = connect(session);
  if (auto *none = std::get_if<NoAnswer>(&client)) return std::move(*none);
  constexpr std::chrono::seconds kPatience{60};
  auto answer = answer_of(std::get<control::Client>(client).ask(request, kPatience), kPatience);
  if (auto *none = std::get_if<NoAnswer>(&answer)) return std::move(*none);
  return Stream{std::move(std::get<control::Client>(client)), std::move(std::get<control::Reply>(answer))};
}

std::variant<control::Reply, NoAnswer> next_of(control::Client &client) {
  return answer_of(client.next(), std::chrono::seconds(0));
}

ExitStatus report(const Session &session, const NoAnswer &reason) {
  if (reason.failure) return session.fail(*reason.failure);
  return session.fail(reason.status, reason.message);
}

std::optional<policies::Config> load(const Session &session) {
  auto loaded = policies::load_config(session.config);
  if (loaded.config) return std::move(loaded.config);
  std::string all;
  for (const auto &found : loaded.diagnostics)
    if (found.severity == policies::Severity::kError) all += (all.empty() ? "" : "\n") + found.to_string();
  session.fail(ExitStatus::kUsage, all);
  return std::nullopt;
}

}  // namespace paddock::cli
