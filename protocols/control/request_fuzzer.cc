// Any bytes as a request, and as the supervisor's reply: no crash, and what is accepted survives a round
// trip.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocols/control/reply.h"
#include "protocols/control/request.h"

using namespace paddock::control;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char *>(data), size);
  if (const auto request = parse_request(line)) {
    const auto again = parse_request(to_json(*request));
    if (!again || again->command != request->command || again->tenant != request->tenant ||
        again->reason != request->reason || again->until != request->until ||
        again->since != request->since || again->top != request->top || again->step != request->step ||
        again->limit != request->limit || again->after != request->after || again->plan != request->plan ||
        again->follow != request->follow || again->period_ms != request->period_ms)
      std::abort();
  } else if (!parse_reply(error_reply(ErrorCode::kBadRequest, request.error().message()))) {
    std::abort();
  }
  // Whatever the bytes are, they can be reported.
  Status status;
  status.tenants.emplace_back().running.emplace_back().uri = std::string(line);
  if (!result_from_json<Status>(to_json(status))) std::abort();
  if (const auto reply = parse_reply(line); reply && !reply->failure)
    if (const auto read = result_from_json<Status>(reply->result);
        read && !result_from_json<Status>(to_json(*read)))
      std::abort();
  return 0;
}
