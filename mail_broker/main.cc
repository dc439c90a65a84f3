// paddock-mail: started by paddockd, which hands it one descriptor, the link.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "base/hardening.h"
#include "base/log.h"
#include "mail_broker/broker.h"

namespace {

using namespace paddock;

struct Options {
  int link_fd = -1;
  int spool_fd = -1;
};

Result<void> serve(const Options &options) {
  PADDOCK_CHECK(log::setup("paddock-mail", log::Level::kInfo));
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  for (const int fd : {options.link_fd, options.spool_fd})
    if (fd >= 0 && ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
      return errno_error("use descriptor " + std::to_string(fd));
  PADDOCK_CHECK(raise_descriptor_limit());
  PADDOCK_CHECK(give_up_privileges());
  mail_broker::BrokerOptions setup;
  setup.spool = UniqueFd(options.spool_fd);
  PADDOCK_TRY(const auto broker,
              mail_broker::Broker::create(MessageSocket(UniqueFd(options.link_fd)), std::move(setup)));
  return broker->run();
}

}  // namespace

int main(int argc, char **argv) {
  try {
    Options options;
    CLI::App app{
        "Takes mail from the sandboxes' sendmail, judges it and has it handed to the host's MTA.\n"
        "Started by paddockd; of no use by hand. Exit status: 0 when the link was closed, 1 after an error,\n"
        "2 after wrong arguments."};
    app.set_version_flag("--version", PADDOCK_VERSION);
    app.add_option("--link-fd", options.link_fd, "descriptor of the link to paddockd (SOCK_SEQPACKET)")
        ->required()
        ->check(CLI::NonNegativeNumber);
    app.add_option("--spool-fd", options.spool_fd,
                   "descriptor of a directory for messages; default: in memory")
        ->check(CLI::NonNegativeNumber);
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
    std::fprintf(stderr, "paddock-mail: %s\n", failure.what());
    return 1;
  }
}
