// paddock-dashboard: pages and /metrics. Started by paddockd, or by hand with --config.
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <exception>

#include "base/log.h"
#include "dashboard/api.h"
#include "dashboard/server.h"
#include "policies/config_file.h"
#include "policies/socket_path.h"

namespace {

using namespace paddock;

struct Options {
  std::string config;
  std::string control;
  std::string listen;
  std::string public_url;
  int link_fd = -1;
};

// Without a supervisor that would have done it. Nothing that this program does needs rights.
Result<void> become(uid_t uid, gid_t gid) {
  if (::geteuid() != 0) return {};
  if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0)
    return errno_error("become uid " + std::to_string(uid));
  return {};
}

Result<void> give_up_rights() {
  if (::geteuid() == 0) return Error{"the dashboard does not run as root"};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error("prctl(PR_SET_NO_NEW_PRIVS)");
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) return errno_error("setrlimit(RLIMIT_CORE)");
#ifndef PADDOCK_SANITIZED
  // Its memory holds the tokens of those who are logged in.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return errno_error("prctl(PR_SET_DUMPABLE)");
#endif
  return {};
}

Result<void> read_config(Options &options) {
  const auto loaded = policies::load_config(options.config);
  if (!loaded.config) return Error{loaded.diagnostics.front().to_string()};
  const auto &dashboard = loaded.config->dashboard;
  if (dashboard.listen.empty()) return Error{options.config + ": dashboard.listen is empty: there is none"};
  options.control = policies::control_socket_path(loaded.config->runtime);
  options.listen = dashboard.listen;
  options.public_url = dashboard.public_url;
  return become(dashboard.uid, dashboard.gid);
}

Result<void> serve(Options options) {
  PADDOCK_CHECK(log::setup("paddock-dashboard", log::Level::kInfo));
  if (!options.config.empty()) PADDOCK_CHECK(read_config(options));
  if (options.control.empty() || options.listen.empty())
    return Error{"expected --config, or --control and --listen"};
  PADDOCK_CHECK(give_up_rights());
  boost::asio::io_context io(1);
  dashboard::ControlLink link(options.control);
  dashboard::Feed feed(io, link);
  dashboard::Api api({options.listen, options.public_url}, link, feed);
  dashboard::Server server(io, api);
  PADDOCK_CHECK(server.listen(options.listen));
  feed.start();
  server.start();
  boost::asio::signal_set signals(io, SIGTERM);
  if (options.link_fd < 0) signals.add(SIGINT);
  signals.async_wait([&io](const boost::system::error_code &error, int) {
    if (!error) io.stop();
  });
  // The supervisor says nothing on the link; that it ends tells us to.
  boost::asio::posix::stream_descriptor parent(io);
  char byte = 0;
  if (options.link_fd >= 0) {
    ::signal(SIGINT, SIG_IGN);
    parent.assign(options.link_fd);
    parent.async_read_some(boost::asio::buffer(&byte, 1),
                           [&io](const boost::system::error_code &, std::size_t) { io.stop(); });
  }
  log::info("listening at http://" + options.listen);
  io.run();
  return {};
}

}  // namespace

int main(int argc, char **argv) {
  try {
    Options options;
    CLI::App app{
        "Paddock's dashboard: pages for browsers, /metrics for Prometheus.\n"
        "Started by paddockd where the config has dashboard.listen. Exit status: 0 stopped as asked, 1 after "
        "an\n"
        "error, 2 after wrong arguments."};
    app.set_version_flag("--version", PADDOCK_VERSION);
    CLI::Option *config = app.add_option("--config", options.config, "the config; drops root's rights");
    app.add_option("--control", options.control, "the supervisor's control socket")->excludes(config);
    app.add_option("--listen", options.listen, "address and port")->excludes(config);
    app.add_option("--public-url", options.public_url, "where browsers find it")->excludes(config);
    app.add_option("--link-fd", options.link_fd, "descriptor of the link to paddockd");
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError &result) {
      return app.exit(result) == 0 ? 0 : 2;
    }
    if (const auto served = serve(std::move(options)); !served) {
      log::error(served.error().message());
      return 1;
    }
    return 0;
  } catch (const std::exception &failure) {
    std::fprintf(stderr, "paddock-dashboard: %s\n", failure.what());
    return 1;
  }
}
