// The control socket's requests for the books: what was used, what befell whom, what runs now.
#pragma once

#include <string>

#include "protocols/control/access.h"
#include "protocols/control/request.h"
#include "supervisor/control_server.h"

namespace paddock::supervisor {

class Supervisor;

// What the peer may be told now: its rights can change with each reload while a stream goes on.
[[nodiscard]] control::Access access_to(Supervisor &supervisor, const Peer &peer,
                                        const control::Request &request);
// Whether the request is about a tenant that the config has no more, and the books still know.
[[nodiscard]] bool is_in_the_books(Supervisor &supervisor, const control::Request &request);

// For requests that access_to() has not denied.
[[nodiscard]] std::string usage(Supervisor &supervisor, const Peer &peer, const control::Request &request);
[[nodiscard]] std::string rule_report(Supervisor &supervisor);
[[nodiscard]] Answer events(Supervisor &supervisor, const Peer &peer, const control::Request &request);
[[nodiscard]] Answer samples(Supervisor &supervisor, const Peer &peer, const control::Request &request);

}  // namespace paddock::supervisor
