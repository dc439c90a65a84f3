#include "protocols/control/request.h"

#include <array>

#include "base/log.h"
#include "protocols/control/json.h"

namespace paddock::control {
namespace {

enum class Takes : std::uint8_t { kNothing, kTenantOrAll, kTenant, kBlock };

struct Row {
  std::string_view name;
  Takes takes;
};

// In the order of Command.
constexpr std::array<Row, 13> kRows{{
    {"status", Takes::kTenantOrAll},
    {"sockets", Takes::kTenantOrAll},
    {"start", Takes::kTenant},
    {"stop", Takes::kTenant},
    {"restart", Takes::kTenant},
    {"kill", Takes::kTenant},
    {"freeze", Takes::kTenant},
    {"thaw", Takes::kTenant},
    {"block", Takes::kBlock},
    {"unblock", Takes::kTenant},
    {"reload", Takes::kNothing},
    {"doctor", Takes::kNothing},
    {"version", Takes::kNothing},
}};
static_assert(kRows.size() == static_cast<std::size_t>(Command::kVersion) + 1);

constexpr std::size_t kDepth = 4;         // a request is flat
constexpr std::size_t kTenantLimit = 63;  // as the config allows

Takes takes(Command command) {
  return kRows[static_cast<std::size_t>(command)].takes;
}

Result<std::string> text(std::string_view key, const boost::json::value &value, std::size_t limit) {
  const auto *string = value.if_string();
  if (string == nullptr || string->empty() || string->size() > limit)
    return Error{std::string(key) + " must be a string of 1 to " + std::to_string(limit) + " bytes"};
  return std::string(string->data(), string->size());
}

Result<std::int64_t> unix_time(const boost::json::value &value) {
  const auto *number = value.if_int64();
  if (number == nullptr || *number < 0) return Error{"until must be an integer: seconds since the epoch"};
  return *number;
}

Result<Command> read_command(const boost::json::object &object) {
  const auto *version = object.if_contains("v");
  if (version == nullptr || !version->is_int64() || version->get_int64() != kProtocolVersion)
    return Error{"v must be 1, the version of the protocol"};
  const auto *command = object.if_contains("command");
  if (command == nullptr || !command->is_string()) return Error{"command must be a string"};
  const std::string_view name(command->get_string().data(), command->get_string().size());
  const auto known = command_of(name);
  if (!known) return Error{"unknown command " + log::quoted(name, 64)};
  return *known;
}

}  // namespace

std::string_view name_of(Command command) {
  return kRows[static_cast<std::size_t>(command)].name;
}

std::optional<Command> command_of(std::string_view name) {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].name == name) return static_cast<Command>(i);
  return std::nullopt;
}

Result<Request> parse_request(std::string_view line) {
  if (line.size() > kRequestLimit)
    return Error{"the request is longer than " + std::to_string(kRequestLimit) + " bytes"};
  PADDOCK_TRY(const boost::json::value value, parse_json(line, kDepth));
  const auto *object = value.if_object();
  if (object == nullptr) return Error{"a request is a JSON object"};
  Request request;
  PADDOCK_TRY(request.command, read_command(*object));
  const Takes what = takes(request.command);
  for (const auto &member : *object) {
    const std::string_view key(member.key().data(), member.key().size());
    if (key == "v" || key == "command") continue;
    if (key == "tenant" && what != Takes::kNothing) {
      PADDOCK_TRY(request.tenant, text(key, member.value(), kTenantLimit));
    } else if (key == "reason" && what == Takes::kBlock) {
      PADDOCK_TRY(request.reason, text(key, member.value(), kReasonLimit));
    } else if (key == "until" && what == Takes::kBlock) {
      PADDOCK_TRY(request.until, unix_time(member.value()));
    } else {
      return Error{std::string(name_of(request.command)) + " takes no " + log::quoted(key, 64)};
    }
  }
  if (request.tenant.empty() && (what == Takes::kTenant || what == Takes::kBlock))
    return Error{std::string(name_of(request.command)) + " needs a tenant"};
  if (request.reason.empty() && what == Takes::kBlock) return Error{"block needs a reason"};
  return request;
}

std::string to_json(const Request &request) {
  boost::json::object object;
  object["v"] = kProtocolVersion;
  object["command"] = name_of(request.command);
  if (!request.tenant.empty()) object["tenant"] = to_utf8(request.tenant);
  if (!request.reason.empty()) object["reason"] = to_utf8(request.reason);
  if (request.until) object["until"] = *request.until;
  return boost::json::serialize(object);
}

}  // namespace paddock::control
