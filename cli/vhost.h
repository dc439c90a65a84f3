// `paddock sockets` and `paddock vhost`: how a web server reaches a tenant.
#pragma once

#include "cli/session.h"

namespace paddock::cli {

// tenant empty: all. "TENANT<TAB>PATH" a line. Where no supervisor runs, from the config and the key in
// state_dir.
ExitStatus sockets(const Session &session, const std::string &tenant);

struct VhostOptions {
  std::string tenant;
  std::string server = "apache";  // or "nginx"
  std::string name;               // with it or docroot: a whole virtual host
  std::string docroot;
};
ExitStatus vhost(const Session &session, const VhostOptions &options);

// The lines for the server's configuration.
[[nodiscard]] std::string vhost_lines(const VhostOptions &options, const control::Socket &socket);
// What is wrong with name or docroot, which become part of a configuration file; empty: nothing.
[[nodiscard]] std::string vhost_problem(const VhostOptions &options);

}  // namespace paddock::cli
