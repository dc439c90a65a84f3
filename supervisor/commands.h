// What the control socket's requests do: from one line of the protocol to its answer.
#pragma once

#include <string>

#include "supervisor/control_server.h"

namespace paddock::supervisor {

class Supervisor;

// Parses, authorises by the peer's uid and groups (protocols/control/access.h), carries out, and answers in
// JSON, whatever the line held. A stream (Answer::more) must not outlive the supervisor.
[[nodiscard]] Answer answer_command(Supervisor &supervisor, const Peer &peer, const std::string &line);

}  // namespace paddock::supervisor
