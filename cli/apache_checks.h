// What Apache's configuration says about Paddock's sockets: names used twice, sockets that nobody listens on,
// time limits that end a request before Paddock would, threads that PHP may hold all of, files that give a
// socket's path away.
//
// Lines are read as they are written in the enabled sites and configurations; what a macro or an Include
// elsewhere says is not seen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/host_checks.h"
#include "policies/config.h"
#include "policies/socket_path.h"

namespace paddock::cli {

// A place in Apache's configuration that names a FastCGI server behind a Unix socket.
struct ApacheWorker {
  policies::Location where;
  std::string socket;
  std::string name;                      // of fcgi://NAME
  std::optional<std::uint64_t> timeout;  // seconds, of a ProxySet in its <Proxy>
  bool is_handler = false;               // of a SetHandler or ProxyPass, not of a <Proxy>
};

struct ApacheLines {
  std::vector<ApacheWorker> workers;
  std::optional<std::uint64_t> proxy_timeout;  // the last one outside of virtual hosts
  std::optional<std::uint64_t> timeout;
  std::optional<std::uint64_t> threads;  // MaxRequestWorkers, the last one
  std::vector<std::string> readable;     // files that name a socket and that everybody may read
};

void read_apache_lines(const std::string &text, const std::string &file, ApacheLines &lines);

// `key` absent: who asks may not read it; sockets are then compared by directory only.
void check_apache_lines(const ApacheLines &lines, const policies::Config &config,
                        const std::optional<policies::SocketKey> &key, Findings &findings);

// /etc/apache2 below `root`.
void check_apache_sites(const std::string &root, const policies::Config &config, Findings &findings);

}  // namespace paddock::cli
