// The line that answers a request: a result or a failure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocols/control/event_result.h"
#include "protocols/control/failure.h"
#include "protocols/control/result.h"
#include "protocols/control/rule_result.h"
#include "protocols/control/top_result.h"
#include "protocols/control/usage_result.h"

namespace paddock::control {

// T: Status, Sockets, Action, Findings, Reloaded, Doctor, Version or Vhost (result.h); UsageReport, Samples
// (usage_result.h); Event, Events, EventSnapshot
// (event_result.h); Rules, RuleReport, Replay (rule_result.h).

// The result alone, as JSON on one line.
template <typename T>
[[nodiscard]] std::string to_json(const T &result);
// Members that are missing keep their defaults; those of a wrong type are an error.
template <typename T>
[[nodiscard]] Result<T> result_from_json(std::string_view json);

// {"v":1,"ok":true,"result":…}, without a newline.
template <typename T>
[[nodiscard]] std::string ok_reply(const T &result) {
  return R"({"v":1,"ok":true,"result":)" + to_json(result) + "}";
}
// {"v":1,"ok":false,"error":{…}}, without a newline.
[[nodiscard]] std::string error_reply(ErrorCode code, std::string_view message);

struct Reply {
  std::optional<Failure> failure;
  std::string result;  // JSON, where there is no failure
};
[[nodiscard]] Result<Reply> parse_reply(std::string_view line);

}  // namespace paddock::control
