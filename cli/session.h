// One run of `paddock`: where the supervisor and the config are, and how it is told that something failed.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <variant>

#include "policies/config_file.h"
#include "protocols/control/client.h"

namespace paddock::cli {

using control::ExitStatus;

struct Session {
  std::string config = "/etc/paddock/paddock.toml";
  bool config_given = false;  // then it must exist
  std::string socket;         // empty: the config's run_dir says where
  bool json = false;
  std::ostream &out;
  std::ostream &err;

  // A problem of this run: "paddock: …" on err, or with json {"v":1,"ok":false,"error":…} on out. Returns
  // status.
  ExitStatus fail(ExitStatus status, const std::string &message) const;
  ExitStatus fail(const control::Failure &failure) const;

  // Where the control socket is, and whatever else can be known without the whole config.
  [[nodiscard]] Result<policies::Runtime> runtime() const;
};

// Why there is no answer.
struct NoAnswer {
  ExitStatus status = ExitStatus::kFailed;
  std::optional<control::Failure> failure;  // the supervisor's own
  std::string message;                      // ours, where the supervisor has not answered at all
};

// Asks the supervisor; `patience` as for Client::ask().
[[nodiscard]] std::variant<control::Reply, NoAnswer> ask(
    const Session &session, const control::Request &request,
    std::chrono::seconds patience = std::chrono::seconds(60));
ExitStatus report(const Session &session, const NoAnswer &reason);

// A connection on which more answers come, and the first of them.
struct Stream {
  control::Client client;
  control::Reply first;
};
[[nodiscard]] std::variant<Stream, NoAnswer> open_stream(const Session &session,
                                                         const control::Request &request);
[[nodiscard]] std::variant<control::Reply, NoAnswer> next_of(control::Client &client);

// Asks, and gives the typed result to `print`, or its JSON to session.out.
template <typename T>
ExitStatus run(const Session &session, const control::Request &request,
               const std::function<void(const T &result)> &print,
               std::chrono::seconds patience = std::chrono::seconds(60)) {
  const auto answer = ask(session, request, patience);
  if (const auto *none = std::get_if<NoAnswer>(&answer)) return report(session, *none);
  const auto result = control::result_from_json<T>(std::get<control::Reply>(answer).result);
  if (!result)
    return session.fail(ExitStatus::kFailed, "the supervisor's answer: " + result.error().message());
  print(*result);
  return ExitStatus::kOk;
}

// Asks a request that is answered again and again, and gives each result to `print`, until that returns false
// (kOk) or the supervisor ends it: kNotRunning where it has gone.
template <typename T>
ExitStatus follow(const Session &session, const control::Request &request,
                  const std::function<bool(const T &result)> &print) {
  auto asked = open_stream(session, request);
  if (const auto *none = std::get_if<NoAnswer>(&asked)) return report(session, *none);
  auto &[client, reply] = std::get<Stream>(asked);
  for (;;) {
    const auto result = control::result_from_json<T>(reply.result);
    if (!result)
      return session.fail(ExitStatus::kFailed, "the supervisor's answer: " + result.error().message());
    if (!print(*result)) return ExitStatus::kOk;
    auto answer = next_of(client);
    if (const auto *none = std::get_if<NoAnswer>(&answer)) return report(session, *none);
    reply = std::move(std::get<control::Reply>(answer));
  }
}

// All of the config; nullopt: it has errors, which have been reported, and the exit status is kUsage.
[[nodiscard]] std::optional<policies::Config> load(const Session &session);

}  // namespace paddock::cli
