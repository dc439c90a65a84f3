// Tells the gateway what this module has refused, so that the tenant's figures have it.
#pragma once

#include <sys/un.h>

#include <cstdint>
#include <string_view>

#include "protocols/gateway_link/refusal_report.h"

namespace paddock::apache {

// Never waits. False: it was not taken (nobody is there, or the socket is full).
[[nodiscard]] bool report_refusals(const sockaddr_un &gateway, std::string_view tenant,
                                   gateway_link::WebServerReason reason, std::uint32_t requests);

}  // namespace paddock::apache
