// The control socket (run_dir/control.sock, SOCK_STREAM): what `paddock` and the dashboard may ask the
// supervisor.
//
// Version 1. A client sends lines, each one request; the supervisor answers each with one line, in order. A
// line is a JSON object (RFC 8259, UTF-8) and a newline; a request's is at most kRequestLimit bytes long.
//
//     {"v":1,"command":"status","tenant":"alice"}
//     {"v":1,"ok":true,"result":{…}}                                         the result's members: result.h
//     {"v":1,"ok":false,"error":{"code":"unknown-tenant","message":"…"}}     the codes: failure.h
//
// command    also takes                             result     who may (access.h)
// status     tenant, or none for all                Status     admins; a tenant's user for its own
// sockets    tenant, or none for all                Sockets    admins
// start      tenant                                 Action     admins
// stop       tenant: let requests finish            Action     admins
// restart    tenant                                 Action     admins
// kill       tenant: at once                        Action     admins
// freeze     tenant                                 Action     admins
// thaw       tenant                                 Action     admins
// block      tenant, reason, until (Unix time; absent: until unblock)
//                                                   Action     admins
// unblock    tenant                                 Action     admins
// throttle   tenant, plan: whose limits hold; until Action     admins
// unthrottle tenant                                 Action     admins
// usage      tenant, or none for those with most; since; top and limit, where no tenant is named; step, where
//            one is                                 UsageReport  admins; a tenant's user for its own
// events     tenant, or none for all; since, after (an event's id), limit; follow
//                                                   Events     admins; a tenant's user for its own
// samples    tenant, or none for all; period_ms     Samples    admins; a tenant's user for its own
// log        tenant                                 TenantLog  admins; a tenant's user for its own
// rules                                             RuleReport admins
// link       tenant                                 Link       admins
// login      token, from                            Login      the dashboard
// reload                                            Reloaded   admins
// doctor                                            Doctor     admins
// version                                           Version    everybody
//
// The dashboard's user (paddock.toml: dashboard.user) may ask for all that shows something. What start to
// unthrottle do, it may only with `token`, an admin's, which the supervisor checks: so that a dashboard that
// has been broken into can look, and not act. These commands also take `from`, for the books: who asked it.
//
// A request with a member that its command does not take is refused: what the client meant by it would not
// happen. A client ignores members of a result that it does not know.
//
// events with follow, and samples, are answered again and again, each time with a line as above, until the
// client closes the connection or sends anything more: events whenever there are new ones, samples each
// period_ms. An answer that is a failure is the last. A client that is slow to read gets fewer samples, and
// its events later.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace paddock::control {

inline constexpr int kProtocolVersion = 1;
inline constexpr std::size_t kRequestLimit = 64 * 1024;  // of a line, its newline included
inline constexpr std::size_t kReasonLimit = 1024;        // bytes of Request::reason

enum class Command : std::uint8_t {
  kStatus,
  kSockets,
  kStart,
  kStop,
  kRestart,
  kKill,
  kFreeze,
  kThaw,
  kBlock,
  kUnblock,
  kThrottle,
  kUnthrottle,
  kReload,
  kDoctor,
  kUsage,
  kEvents,
  kSamples,
  kLog,
  kRules,
  kLink,
  kLogin,
  kVersion,
};

// "status"; and back. nullopt: there is no such command.
[[nodiscard]] std::string_view name_of(Command command);
[[nodiscard]] std::optional<Command> command_of(std::string_view name);

// By what `usage` ranks tenants.
enum class Figure : std::uint8_t { kCpu, kMemory, kIo, kRequests, kRefused, kNetwork };
inline constexpr std::array<std::string_view, 6> kFigures = {"cpu",      "memory",  "io",
                                                             "requests", "refused", "network"};
// The periods that history is kept in.
enum class Step : std::uint8_t { kMinute, kHour, kDay };
inline constexpr std::array<std::string_view, 3> kSteps = {"minute", "hour", "day"};

inline constexpr std::size_t kTokenLimit = 256;      // bytes of Request::token
inline constexpr std::size_t kFromLimit = 128;       // bytes of Request::from
inline constexpr std::uint32_t kMaxListed = 10'000;  // Request::limit
inline constexpr std::uint32_t kLeastPeriodMs = 500;
inline constexpr std::uint32_t kMostPeriodMs = 60'000;

struct Request {
  Command command = Command::kStatus;
  std::string tenant;                 // empty: all, where the command allows that
  std::string reason;                 // of a block
  std::optional<std::int64_t> until;  // seconds since the epoch
  std::optional<std::int64_t> since;  // seconds since the epoch
  std::optional<Figure> top;
  std::optional<Step> step;                // also tell the use in each of these periods
  std::optional<std::uint32_t> limit;      // at most so many: of events the last ones
  std::optional<std::uint64_t> after;      // only events with larger ids
  bool follow = false;                     // and those to come
  std::optional<std::uint32_t> period_ms;  // of samples
  std::string plan;                        // to throttle to
  std::string token;                       // an admin's, or of a link; secret
  std::string from;                        // for whom the dashboard asks: an address
};

// A line with or without its newline. The error's text says what is wrong with it, for the client to read;
// what it quotes of the line is escaped. Untrusted input: never throws, and allocates in proportion to the
// line.
[[nodiscard]] Result<Request> parse_request(std::string_view line);

// The line, without its newline.
[[nodiscard]] std::string to_json(const Request &request);

}  // namespace paddock::control
