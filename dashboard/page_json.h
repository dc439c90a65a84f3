// What pages are told, as JSON. Texts that a tenant may have chosen are in it as they are: JSON escapes them,
// and pages write them as text nodes.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dashboard/live_data.h"
#include "dashboard/sessions.h"
#include "protocols/control/event_result.h"

namespace paddock::dashboard {

[[nodiscard]] std::string error_json(std::string_view code, std::string_view message);
[[nodiscard]] std::string session_json(const Session &session);
// A flat object of strings and integers; integers as they are written.
[[nodiscard]] Result<std::map<std::string, std::string>> flat_object(std::string_view json);

// All that the session may see: the host, its tenants, and their last minutes.
[[nodiscard]] std::string overview_json(const LiveData &data, const Session &session);
// What has changed since: the figures of all tenants that do anything, or may not.
[[nodiscard]] std::string tick_json(const LiveData &data, const Session &session);
[[nodiscard]] std::string events_json(const std::deque<control::Event> &events, std::uint64_t after,
                                      const Session &session);

}  // namespace paddock::dashboard
