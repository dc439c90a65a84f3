#include "cli/vhost.h"

#include <algorithm>
#include <ostream>
#include <sstream>

#include "base/log.h"
#include "cli/text.h"
#include "policies/section.h"
#include "policies/socket_path.h"
#include "policies/units.h"

namespace paddock::cli {
namespace {

using std::chrono::milliseconds;

// The tenants' sockets, or one's. From the supervisor, or computed as it would; the error's status is the
// exit status.
std::variant<control::Sockets, NoAnswer> find_sockets(const Session &session, const std::string &tenant) {
  auto answer = ask(session, {control::Command::kSockets, tenant, "", {}});
  if (const auto *reply = std::get_if<control::Reply>(&answer)) {
    auto sockets = control::result_from_json<control::Sockets>(reply->result);
    if (!sockets)
      return NoAnswer{ExitStatus::kFailed, {}, "the supervisor's answer: " + sockets.error().message()};
    return std::move(*sockets);
  }
  auto none = std::get<NoAnswer>(std::move(answer));
  if (none.status != ExitStatus::kNotRunning) return none;
  const auto loaded = policies::load_config(session.config);
  if (!loaded.config) return none;
  const auto key = policies::load_socket_key(loaded.config->runtime.state_dir);
  if (!key) return none;
  control::Sockets sockets;
  for (const auto &[name, one] : loaded.config->tenants) {
    if (!tenant.empty() && name != tenant) continue;
    const auto &plan = loaded.config->plan_of(*one);
    sockets.sockets.push_back({name, policies::socket_path(loaded.config->runtime, *key, name),
                               static_cast<std::uint64_t>(plan.deadline.count()),
                               static_cast<std::uint64_t>(plan.queue_time.count()),
                               std::string(policies::name_of(one->program))});
  }
  if (sockets.sockets.empty() && !tenant.empty())
    return NoAnswer{ExitStatus::kUnknownTenant, {}, "unknown tenant " + log::quoted(tenant)};
  return sockets;
}

// Seconds after which the web server may give up: later than Paddock would, so that Paddock's answer is the
// one.
std::uint64_t server_timeout(const control::Socket &socket) {
  constexpr std::uint64_t kGrace = 10;
  constexpr std::uint64_t kNone = 86'400;
  if (socket.deadline_ms == 0) return kNone;
  return (socket.deadline_ms + socket.queue_time_ms + 999) / 1000 + kGrace;
}

std::string limits_text(const control::Socket &socket) {
  const auto text = [](std::uint64_t ms) {
    return policies::format_duration(milliseconds(static_cast<std::int64_t>(ms)));
  };
  const std::string running = socket.deadline_ms == 0 ? "without end" : text(socket.deadline_ms);
  return text(socket.queue_time_ms) + " waiting, " + running + " running";
}

// What of a site is the tenant's: endings that its kind usually has.
std::string files_of(const control::Socket &socket) {
  return socket.kind == "php" ? "php" : "(?:cgi|fcgi|pl|py|rb)";
}

bool has_every_url(const control::Socket &socket) {
  return socket.kind == "command";
}

std::string secrecy_text(const std::string &tenant, const control::Socket &socket) {
  return "# " + std::string(socket.kind == "php" ? "PHP" : "Programs") + " of Paddock's tenant " + tenant +
         ". Keep this file from the tenants (mode 0640, root and the web server's group):\n"
         "# who knows the socket's path can have scripts run as that user, from an .htaccess for instance.\n";
}

std::string apache_handler(const std::string &tenant, const control::Socket &socket,
                           const std::string &margin) {
  const std::string worker = "unix:" + socket.path + "|fcgi://" + tenant;
  std::ostringstream out;
  const std::string section = has_every_url(socket) ? "Location" : "FilesMatch";
  if (has_every_url(socket)) {
    out << margin << "# Everything below this path is the program's.\n" << margin << "<Location \"/\">\n";
  } else {
    out << margin << "# By file, not by URL: only what is such a file on disk is run.\n"
        << margin << "<FilesMatch \"\\." << files_of(socket) << "$\">\n";
  }
  out << margin << "    SetHandler \"proxy:" << worker << "\"\n"
      << margin << "    # Scripts see the Authorization header, as under mod_php.\n"
      << margin << "    CGIPassAuth On\n"
      << margin << "</" << section << ">\n"
      << margin << "<Proxy \"" << worker << "\">\n"
      << margin << "    # Longer than the plan allows (" << limits_text(socket)
      << "): Paddock ends requests, not Apache.\n"
      << margin << "    ProxySet timeout=" << server_timeout(socket) << " flushpackets=on\n"
      << margin << "</Proxy>\n"
      << margin << "ProxyFCGIBackendType FPM\n";
  return out.str();
}

std::string apache_lines(const VhostOptions &options, const control::Socket &socket) {
  if (options.name.empty() && options.docroot.empty())
    return secrecy_text(options.tenant, socket) + apache_handler(options.tenant, socket, "");
  std::ostringstream out;
  out << secrecy_text(options.tenant, socket) << "<VirtualHost *:80>\n";
  if (!options.name.empty()) out << "    ServerName " << options.name << "\n";
  if (!options.docroot.empty())
    out << "    DocumentRoot \"" << options.docroot << "\"\n"
        << "    <Directory \"" << options.docroot << "\">\n"
        << "        Require all granted\n"
        << "        # Apache reads static files as itself: a link must not lead it into another user's "
           "home.\n"
        << "        Options SymLinksIfOwnerMatch\n"
        << "        # Nonfatal=Unknown: Paddock reads php_value in .htaccess, Apache does not know it.\n"
        << "        AllowOverride AuthConfig FileInfo Indexes Limit "
           "Options=Indexes,MultiViews,SymLinksIfOwnerMatch Nonfatal=Unknown\n"
        << "        DirectoryIndex index.php index.html\n"
        << "    </Directory>\n";
  out << apache_handler(options.tenant, socket, "    ") << "</VirtualHost>\n";
  return out.str();
}

std::string nginx_location(const control::Socket &socket, const std::string &margin) {
  std::ostringstream out;
  const std::string ending = "\\." + files_of(socket);
  if (has_every_url(socket)) {
    out << margin << "# Everything below this path is the program's.\n"
        << margin << "location / {\n"
        << margin << "    set $paddock_path_info $fastcgi_script_name;\n";
  } else {
    out << margin << "location ~ [^/]" << ending << "(/|$) {\n"
        << margin << "    fastcgi_split_path_info ^(.+?" << ending << ")(/.*)$;\n"
        << margin << "    # try_files clears $fastcgi_path_info.\n"
        << margin << "    set $paddock_path_info $fastcgi_path_info;\n"
        << margin << "    # By file, not by URL: only what is a file on disk is run.\n"
        << margin << "    try_files $fastcgi_script_name =404;\n";
  }
  out << margin << "    include fastcgi_params;\n"
      << margin << "    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n"
      << margin << "    fastcgi_param PATH_INFO $paddock_path_info;\n"
      << margin << "    # httpoxy: a client's Proxy header is no proxy setting.\n"
      << margin << "    fastcgi_param HTTP_PROXY \"\";\n"
      << margin << "    # nginx runs as [apache] user of paddock.toml, or it cannot reach the socket.\n"
      << margin << "    fastcgi_pass unix:" << socket.path << ";\n"
      << margin << "    # Longer than the plan allows (" << limits_text(socket)
      << "): Paddock ends requests, not nginx.\n"
      << margin << "    fastcgi_read_timeout " << server_timeout(socket) << "s;\n"
      << margin << "}\n";
  return out.str();
}

std::string nginx_lines(const VhostOptions &options, const control::Socket &socket) {
  if (options.name.empty() && options.docroot.empty())
    return secrecy_text(options.tenant, socket) + nginx_location(socket, "");
  std::ostringstream out;
  out << secrecy_text(options.tenant, socket) << "server {\n    listen 80;\n";
  if (!options.name.empty()) out << "    server_name " << options.name << ";\n";
  if (!options.docroot.empty())
    out << "    root \"" << options.docroot << "\";\n"
        << "    index index.php index.html;\n"
        << "    # nginx reads static files as itself: a link must not lead it into another user's home.\n"
        << "    disable_symlinks if_not_owner from=$document_root;\n";
  out << nginx_location(socket, "    ") << "}\n";
  return out.str();
}

}  // namespace

ExitStatus sockets(const Session &session, const std::string &tenant) {
  const auto found = find_sockets(session, tenant);
  if (const auto *none = std::get_if<NoAnswer>(&found)) return report(session, *none);
  const auto &sockets = std::get<control::Sockets>(found);
  if (session.json) {
    session.out << to_json(sockets) << '\n';
    return ExitStatus::kOk;
  }
  for (const auto &socket : sockets.sockets) session.out << socket.tenant << '\t' << socket.path << '\n';
  return ExitStatus::kOk;
}

std::string vhost_problem(const VhostOptions &options) {
  const auto is_host_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == '*';
  };
  if (!std::all_of(options.name.begin(), options.name.end(), is_host_character))
    return "--name " + log::quoted(options.name, 64) + ": not a host name";
  if (options.docroot.empty()) return {};
  if (!policies::is_plain_absolute_path(options.docroot))
    return "--docroot " + log::quoted(options.docroot, 64) +
           ": not an absolute path without \".\" and \"..\"";
  if (options.docroot.find_first_of("\"\\$%{}") != std::string::npos)
    return "--docroot " + log::quoted(options.docroot, 64) +
           ": holds a character that configuration files expand";
  return {};
}

std::string vhost_lines(const VhostOptions &options, const control::Socket &socket) {
  return options.server == "nginx" ? nginx_lines(options, socket) : apache_lines(options, socket);
}

ExitStatus vhost(const Session &session, const VhostOptions &options) {
  if (const std::string problem = vhost_problem(options); !problem.empty())
    return session.fail(ExitStatus::kUsage, problem);
  const auto found = find_sockets(session, options.tenant);
  if (const auto *none = std::get_if<NoAnswer>(&found)) return report(session, *none);
  const auto &all = std::get<control::Sockets>(found).sockets;
  const auto socket =
      std::find_if(all.begin(), all.end(), [&](const auto &one) { return one.tenant == options.tenant; });
  if (socket == all.end())
    return session.fail(ExitStatus::kUnknownTenant, "unknown tenant " + log::quoted(options.tenant));
  const std::string lines = vhost_lines(options, *socket);
  if (session.json) {
    session.out << to_json(control::Vhost{options.tenant, options.server, socket->path, lines}) << '\n';
  } else {
    session.out << lines;
  }
  return ExitStatus::kOk;
}

}  // namespace paddock::cli
