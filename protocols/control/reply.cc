#include "protocols/control/reply.h"

#include <algorithm>
#include <type_traits>

#include "protocols/control/json.h"
#include "protocols/control/request.h"

namespace paddock::control {
namespace {

namespace json = boost::json;

constexpr std::size_t kDepth = 10;  // reply > result > tenants > tenant > samples > sample > usage

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;

constexpr const auto &names(TenantState) {
  return kTenantStates;
}
constexpr const auto &names(FindingSeverity) {
  return kFindingSeverities;
}

template <typename T>
json::value encode(const T &value);

struct Encoder {
  json::object object;

  template <typename T>
  void operator()(const char *key, const T &value) {
    object[key] = encode(value);
  }
};

template <typename T>
json::value encode(const T &value) {
  if constexpr (kIsOptional<T>) {
    return value ? encode(*value) : json::value(nullptr);
  } else if constexpr (kIsVector<T>) {
    json::array out;
    out.reserve(value.size());
    for (const auto &item : value) out.push_back(encode(item));
    return out;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return json::value(to_utf8(value));
  } else if constexpr (std::is_enum_v<T>) {
    return json::value(name_of(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return json::value(value);
  } else {
    Encoder encoder;
    const_cast<T &>(value).fields(
        encoder);  // fields() is one function for both directions; this one only reads
    return std::move(encoder.object);
  }
}

template <typename T>
bool decode(const json::value &from, T &to);

// Stops at the first member that has the wrong type, and remembers its name.
struct Decoder {
  const json::object &object;
  std::string wrong{};

  template <typename T>
  void operator()(const char *key, T &value) {
    const auto *member = object.if_contains(key);
    if (wrong.empty() && member != nullptr && !decode(*member, value)) wrong = key;
  }
};

template <typename T>
bool decode(const json::value &from, T &to) {
  if constexpr (kIsOptional<T>) {
    to.reset();
    return from.is_null() || decode(from, to.emplace());
  } else if constexpr (kIsVector<T>) {
    to.clear();
    const auto *items = from.if_array();
    return items != nullptr && std::all_of(items->begin(), items->end(), [&](const json::value &item) {
             return decode(item, to.emplace_back());
           });
  } else if constexpr (std::is_same_v<T, std::string>) {
    const auto *text = from.if_string();
    if (text != nullptr) to.assign(text->data(), text->size());
    return text != nullptr;
  } else if constexpr (std::is_enum_v<T>) {
    const auto *text = from.if_string();
    if (text == nullptr) return false;
    const auto &all = names(to);
    const auto *found = std::find(all.begin(), all.end(), std::string_view(text->data(), text->size()));
    if (found != all.end()) to = static_cast<T>(found - all.begin());
    return found != all.end();
  } else if constexpr (std::is_same_v<T, bool>) {
    const auto *truth = from.if_bool();
    if (truth != nullptr) to = *truth;
    return truth != nullptr;
  } else if constexpr (std::is_same_v<T, double>) {
    json::error_code failure;
    to = from.to_number<double>(failure);
    return !failure;
  } else if constexpr (std::is_integral_v<T>) {
    json::error_code failure;
    to = from.to_number<T>(failure);
    return !failure && !from.is_double();
  } else {
    const auto *object = from.if_object();
    if (object == nullptr) return false;
    Decoder decoder{*object};
    to.fields(decoder);
    return decoder.wrong.empty();
  }
}

}  // namespace

template <typename T>
std::string to_json(const T &result) {
  return json::serialize(encode(result));
}

template <typename T>
Result<T> result_from_json(std::string_view text) {
  PADDOCK_TRY(const json::value value, parse_json(text, kDepth));
  const auto *object = value.if_object();
  if (object == nullptr) return Error{"the result is no JSON object"};
  T result;
  Decoder decoder{*object};
  result.fields(decoder);
  if (!decoder.wrong.empty()) return Error{"the result's member " + decoder.wrong + " is not as expected"};
  return result;
}

std::string error_reply(ErrorCode code, std::string_view message) {
  json::object object{{"v", kProtocolVersion},
                      {"ok", false},
                      {"error", {{"code", name_of(code)}, {"message", to_utf8(message)}}}};
  return json::serialize(object);
}

Result<Reply> parse_reply(std::string_view line) {
  PADDOCK_TRY(const json::value value, parse_json(line, kDepth));
  const auto *object = value.if_object();
  const auto *ok = object == nullptr ? nullptr : object->if_contains("ok");
  if (ok == nullptr || !ok->is_bool()) return Error{"the answer is no reply"};
  Reply reply;
  if (ok->get_bool()) {
    const auto *result = object->if_contains("result");
    if (result == nullptr) return Error{"the reply holds no result"};
    reply.result = json::serialize(*result);
    return reply;
  }
  const auto *error = object->if_contains("error");
  const auto *members = error == nullptr ? nullptr : error->if_object();
  if (members == nullptr) return Error{"the reply holds no error"};
  std::string code;
  Failure failure;
  Decoder decoder{*members};
  decoder("code", code);
  decoder("message", failure.message);
  // A code of a later version still is a failure.
  failure.code = error_code_of(code).value_or(ErrorCode::kFailed);
  reply.failure = std::move(failure);
  return reply;
}

#define PADDOCK_CONTROL_RESULT(T)                   \
  template std::string to_json<T>(const T &result); \
  template Result<T> result_from_json<T>(std::string_view text)
PADDOCK_CONTROL_RESULT(Status);
PADDOCK_CONTROL_RESULT(Sockets);
PADDOCK_CONTROL_RESULT(Action);
PADDOCK_CONTROL_RESULT(Link);
PADDOCK_CONTROL_RESULT(Login);
PADDOCK_CONTROL_RESULT(Token);
PADDOCK_CONTROL_RESULT(Findings);
PADDOCK_CONTROL_RESULT(Reloaded);
PADDOCK_CONTROL_RESULT(Doctor);
PADDOCK_CONTROL_RESULT(Version);
PADDOCK_CONTROL_RESULT(Vhost);
PADDOCK_CONTROL_RESULT(UsageReport);
PADDOCK_CONTROL_RESULT(Samples);
PADDOCK_CONTROL_RESULT(Event);
PADDOCK_CONTROL_RESULT(Events);
PADDOCK_CONTROL_RESULT(EventSnapshot);
PADDOCK_CONTROL_RESULT(PolicyExplanation);
PADDOCK_CONTROL_RESULT(LearnedPolicy);
PADDOCK_CONTROL_RESULT(TenantLog);
PADDOCK_CONTROL_RESULT(Rules);
PADDOCK_CONTROL_RESULT(RuleReport);
PADDOCK_CONTROL_RESULT(Replay);
PADDOCK_CONTROL_RESULT(Top);
#undef PADDOCK_CONTROL_RESULT

}  // namespace paddock::control
