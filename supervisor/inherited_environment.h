// What sandboxes inherit of the supervisor's environment, where the config says that they do.
#pragma once

#include <string>
#include <vector>

namespace paddock::supervisor {

// All of it (clear_env = false), without what is root's own (HOME, SHELL and their kin) or the service
// manager's (systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager").
[[nodiscard]] std::vector<std::string> inherited_environment();

// NAME=$OTHER becomes NAME=value of that variable, empty where there is none, as PHP-FPM's env[NAME] =
// $OTHER. Other entries stay as they are.
[[nodiscard]] std::vector<std::string> resolved(std::vector<std::string> entries);

}  // namespace paddock::supervisor
