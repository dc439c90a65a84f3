// What the control socket's requests do: from one line of the protocol to one line of answer.
#pragma once

#include <string>

#include "supervisor/control_server.h"

namespace paddock::supervisor {

class Supervisor;

// Parses, authorises by the peer's uid and groups (protocols/control/access.h), carries out, and answers: one
// line of JSON without its newline, whatever the line held.
[[nodiscard]] std::string answer_command(Supervisor &supervisor, const Peer &peer, const std::string &line);

}  // namespace paddock::supervisor
