// paddock-gateway: started by paddockd, which hands it one descriptor, the link.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <vector>

#include "base/hardening.h"
#include "base/log.h"
#include "fcgi_gateway/gateway.h"

namespace {

using namespace paddock;

struct Options {
  int link_fd = -1;
  int spool_fd = -1;
  int reports_fd = -1;
  std::vector<int> inheritance;
  log::Level log_level = log::Level::kInfo;
};

Result<MessageSocket> open_link(int number) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
    return errno_error("use descriptor " + std::to_string(number) + " as the link");
  if (type != SOCK_SEQPACKET)
    return Error{"use descriptor " + std::to_string(number) + " as the link: no SOCK_SEQPACKET socket"};
  return MessageSocket(UniqueFd(number));
}

Result<void> serve(const Options &options) {
  PADDOCK_CHECK(log::setup("paddock-gateway", options.log_level));
  PADDOCK_TRY(MessageSocket link, open_link(options.link_fd));
  // Ctrl-C at a terminal reaches the whole process group; when the gateway ends is the supervisor's to say.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  PADDOCK_TRY(const std::size_t descriptors, raise_descriptor_limit());
  fcgi_gateway::GatewayOptions setup;
  setup.refusing.connections =
      std::min(setup.refusing.connections, std::max<std::size_t>(descriptors / 4, 16));
  setup.slow_requests = std::min(setup.slow_requests, std::max<std::size_t>(descriptors / 8, 16));
  // Two descriptors each.
  setup.unread_answers = std::min(setup.unread_answers, std::max<std::size_t>(descriptors / 16, 16));
  if (options.spool_fd >= 0) {
    if (::fcntl(options.spool_fd, F_SETFD, FD_CLOEXEC) != 0)
      return errno_error("use descriptor " + std::to_string(options.spool_fd) + " as the spool");
    setup.spool = fcgi_gateway::Spool(UniqueFd(options.spool_fd));
  }
  if (options.reports_fd >= 0) {
    if (::fcntl(options.reports_fd, F_SETFD, FD_CLOEXEC) != 0)
      return errno_error("use descriptor " + std::to_string(options.reports_fd) + " for reports");
    setup.reports.reset(options.reports_fd);
  }
  if (!options.inheritance.empty()) {
    setup.inheritance.emplace();
    PADDOCK_TRY(setup.inheritance->in, open_link(options.inheritance.front()));
    PADDOCK_TRY(setup.inheritance->out, open_link(options.inheritance.back()));
    setup.descriptors = descriptors;
  }
  PADDOCK_CHECK(give_up_privileges());
  PADDOCK_TRY(auto gateway, fcgi_gateway::Gateway::create(std::move(link), std::move(setup)));
  const auto served = gateway->run();
  if (!served) log::error(served.error().message());
  // What it holds is its guardian's now, and would be taken out of the ledger.
  std::_Exit(served ? 0 : 1);
}

}  // namespace

int main(int argc, char **argv) {
  try {
    Options options;
    CLI::App app{
        "Holds the tenants' FastCGI sockets: wakes sandboxes, answers for those that may not run.\n"
        "Started by paddockd; of no use by hand. Exit status: 0 when the link was closed, 1 after an error,\n"
        "2 after wrong arguments."};
    app.set_version_flag("--version", PADDOCK_VERSION);
    app.add_option("--link-fd", options.link_fd, "descriptor of the link to paddockd (SOCK_SEQPACKET)")
        ->required()
        ->check(CLI::NonNegativeNumber);
    app.add_option("--spool-fd", options.spool_fd,
                   "descriptor of a directory for long requests that come slowly; default: in memory")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--reports-fd", options.reports_fd,
                   "descriptor of a datagram socket to which Apache's module tells what it refused itself")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--inheritance-fds", options.inheritance,
                   "descriptors of a socket's two ends (SOCK_SEQPACKET): where what is held goes when this "
                   "process ends, "
                   "and where it comes from")
        ->expected(2)
        ->check(CLI::NonNegativeNumber);
    const std::map<std::string, log::Level> levels{{"debug", log::Level::kDebug},
                                                   {"info", log::Level::kInfo},
                                                   {"warning", log::Level::kWarning},
                                                   {"error", log::Level::kError}};
    app.add_option("--log-level", options.log_level, "least that is logged: debug, info, warning or error")
        ->transform(CLI::CheckedTransformer(levels));
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError &result) {
      return app.exit(result) == 0 ? 0 : 2;
    }
    if (const auto served = serve(options); !served) {
      log::error(served.error().message());
      return 1;
    }
    return 0;
  } catch (const std::exception &failure) {
    std::fprintf(stderr, "paddock-gateway: %s\n", failure.what());
    return 1;
  }
}
