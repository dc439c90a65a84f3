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
// reload                                            Reloaded   admins
// doctor                                            Doctor     admins
// version                                           Version    everybody
//
// A request with a member that its command does not take is refused: what the client meant by it would not
// happen. A client ignores members of a result that it does not know.
#pragma once

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
  kReload,
  kDoctor,
  kVersion,
};

// "status"; and back. nullopt: there is no such command.
[[nodiscard]] std::string_view name_of(Command command);
[[nodiscard]] std::optional<Command> command_of(std::string_view name);

struct Request {
  Command command = Command::kStatus;
  std::string tenant;                 // empty: all, where the command allows that
  std::string reason;                 // of a block
  std::optional<std::int64_t> until;  // seconds since the epoch
};

// A line with or without its newline. The error's text says what is wrong with it, for the client to read;
// what it quotes of the line is escaped. Untrusted input: never throws, and allocates in proportion to the
// line.
[[nodiscard]] Result<Request> parse_request(std::string_view line);

// The line, without its newline.
[[nodiscard]] std::string to_json(const Request &request);

}  // namespace paddock::control
