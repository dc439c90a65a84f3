#include "protocols/control/request.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/log.h"
#include "protocols/control/json.h"

namespace paddock::control {
namespace {

// What a command takes, a bit each.
enum Takes : unsigned {
  kNothing = 0,
  kTenant = 1U << 0,
  kNeedsTenant = 1U << 1,
  kReason = 1U << 2,
  kNeedsReason = 1U << 3,
  kUntil = 1U << 4,
  kSince = 1U << 5,
  kTop = 1U << 6,
  kStep = 1U << 7,
  kLimit = 1U << 8,
  kAfter = 1U << 9,
  kFollow = 1U << 10,
  kPeriod = 1U << 11,
  kPlan = 1U << 12,
  kToken = 1U << 13,
  kNeedsToken = 1U << 14,
  kFrom = 1U << 15,
};

struct Row {
  std::string_view name;
  unsigned takes;
};

// In the order of Command.
constexpr unsigned kOneTenant = kTenant | kNeedsTenant;
constexpr unsigned kAction = kOneTenant | kToken | kFrom;
constexpr std::array<Row, 22> kRows{{
    {"status", kTenant},
    {"sockets", kTenant},
    {"start", kAction},
    {"stop", kAction},
    {"restart", kAction},
    {"kill", kAction},
    {"freeze", kAction},
    {"thaw", kAction},
    {"block", kAction | kReason | kNeedsReason | kUntil},
    {"unblock", kAction},
    {"throttle", kAction | kPlan | kUntil},
    {"unthrottle", kAction},
    {"reload", kTenant},
    {"doctor", kNothing},
    {"usage", kTenant | kSince | kTop | kStep | kLimit},
    {"events", kTenant | kSince | kLimit | kAfter | kFollow},
    {"samples", kTenant | kPeriod},
    {"log", kOneTenant},
    {"rules", kNothing},
    {"link", kOneTenant},
    {"login", kToken | kNeedsToken | kFrom},
    {"version", kNothing},
}};
static_assert(kRows.size() == static_cast<std::size_t>(Command::kVersion) + 1);

constexpr std::size_t kDepth = 4;         // a request is flat
constexpr std::size_t kTenantLimit = 63;  // as the config allows

unsigned takes(Command command) {
  return kRows[static_cast<std::size_t>(command)].takes;
}

constexpr std::int64_t kMostSeconds = 253'402'300'799;  // the end of the year 9999

Result<std::string> text(std::string_view key, const boost::json::value &value, std::size_t limit) {
  const auto *string = value.if_string();
  if (string == nullptr || string->empty() || string->size() > limit)
    return Error{std::string(key) + " must be a string of 1 to " + std::to_string(limit) + " bytes"};
  return std::string(string->data(), string->size());
}

Result<std::int64_t> unix_time(std::string_view key, const boost::json::value &value) {
  const auto *number = value.if_int64();
  // What overflows once it is in milliseconds is no time either.
  if (number == nullptr || *number < 0 || *number > kMostSeconds)
    return Error{std::string(key) + " must be an integer: seconds since the epoch"};
  return *number;
}

Result<std::uint64_t> integer(std::string_view key, const boost::json::value &value, std::uint64_t least,
                              std::uint64_t most) {
  const auto *number = value.if_int64();
  if (number == nullptr || *number < 0 || static_cast<std::uint64_t>(*number) < least ||
      static_cast<std::uint64_t>(*number) > most)
    return Error{std::string(key) + " must be an integer from " + std::to_string(least) + " to " +
                 std::to_string(most)};
  return static_cast<std::uint64_t>(*number);
}

template <typename Enum, std::size_t N>
Result<std::optional<Enum>> choice(std::string_view key, const boost::json::value &value,
                                   const std::array<std::string_view, N> &names) {
  const auto *string = value.if_string();
  for (std::size_t i = 0; string != nullptr && i < N; ++i)
    if (names[i] == std::string_view(string->data(), string->size()))
      return std::optional(static_cast<Enum>(i));
  std::string known;
  for (const auto name : names) known += (known.empty() ? "" : ", ") + std::string(name);
  return Error{std::string(key) + " must be one of " + known};
}

struct Member {
  std::string_view key;
  unsigned bit;
  Result<void> (*read)(std::string_view key, const boost::json::value &value, Request &request);
};
constexpr std::array<Member, 13> kMembers{{
    {"tenant", kTenant,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.tenant, text(key, value, kTenantLimit));
       return {};
     }},
    {"plan", kPlan,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.plan, text(key, value, kTenantLimit));
       return {};
     }},
    {"reason", kReason,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.reason, text(key, value, kReasonLimit));
       return {};
     }},
    {"token", kToken,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.token, text(key, value, kTokenLimit));
       return {};
     }},
    {"from", kFrom,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.from, text(key, value, kFromLimit));
       return {};
     }},
    {"until", kUntil,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.until, unix_time(key, value));
       return {};
     }},
    {"since", kSince,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.since, unix_time(key, value));
       return {};
     }},
    {"top", kTop,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.top, choice<Figure>(key, value, kFigures));
       return {};
     }},
    {"step", kStep,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.step, choice<Step>(key, value, kSteps));
       return {};
     }},
    {"limit", kLimit,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(const std::uint64_t limit, integer(key, value, 1, kMaxListed));
       request.limit = static_cast<std::uint32_t>(limit);
       return {};
     }},
    {"after", kAfter,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(request.after, integer(key, value, 0, std::numeric_limits<std::int64_t>::max()));
       return {};
     }},
    {"follow", kFollow,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       if (!value.is_bool()) return Error{std::string(key) + " must be true or false"};
       request.follow = value.get_bool();
       return {};
     }},
    {"period_ms", kPeriod,
     [](std::string_view key, const boost::json::value &value, Request &request) -> Result<void> {
       PADDOCK_TRY(const std::uint64_t period, integer(key, value, kLeastPeriodMs, kMostPeriodMs));
       request.period_ms = static_cast<std::uint32_t>(period);
       return {};
     }},
}};

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
  const unsigned what = takes(request.command);
  for (const auto &entry : *object) {
    const std::string_view key(entry.key().data(), entry.key().size());
    if (key == "v" || key == "command") continue;
    const auto *const member = std::find_if(kMembers.begin(), kMembers.end(), [&](const Member &each) {
      return each.key == key && (what & each.bit) != 0;
    });
    if (member == kMembers.end())
      return Error{std::string(name_of(request.command)) + " takes no " + log::quoted(key, 64)};
    PADDOCK_CHECK(member->read(key, entry.value(), request));
  }
  if (request.tenant.empty() && (what & kNeedsTenant) != 0)
    return Error{std::string(name_of(request.command)) + " needs a tenant"};
  if (request.reason.empty() && (what & kNeedsReason) != 0) return Error{"block needs a reason"};
  if (request.plan.empty() && (what & kPlan) != 0) return Error{"throttle needs a plan"};
  if (request.token.empty() && (what & kNeedsToken) != 0) return Error{"login needs a token"};
  if (request.command == Command::kUsage && !request.tenant.empty() && (request.top || request.limit))
    return Error{"usage takes top and limit only where no tenant is named"};
  if (request.command == Command::kUsage && request.tenant.empty() && request.step)
    return Error{"usage takes step only with a tenant"};
  return request;
}

std::string to_json(const Request &request) {
  boost::json::object object;
  object["v"] = kProtocolVersion;
  object["command"] = name_of(request.command);
  if (!request.tenant.empty()) object["tenant"] = to_utf8(request.tenant);
  if (!request.reason.empty()) object["reason"] = to_utf8(request.reason);
  if (!request.plan.empty()) object["plan"] = to_utf8(request.plan);
  if (request.until) object["until"] = *request.until;
  if (request.since) object["since"] = *request.since;
  if (request.top) object["top"] = kFigures[static_cast<std::size_t>(*request.top)];
  if (request.step) object["step"] = kSteps[static_cast<std::size_t>(*request.step)];
  if (request.limit) object["limit"] = *request.limit;
  if (request.after) object["after"] = *request.after;
  if (request.follow) object["follow"] = true;
  if (request.period_ms) object["period_ms"] = *request.period_ms;
  if (!request.token.empty()) object["token"] = to_utf8(request.token);
  if (!request.from.empty()) object["from"] = to_utf8(request.from);
  return boost::json::serialize(object);
}

}  // namespace paddock::control
