// paddockd: the supervisor. Runs in the foreground; touches nothing outside the config's directories and its
// cgroup.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "network/probe.h"
#include "policies/config_file.h"
#include "supervisor/opener_process.h"
#include "supervisor/service_manager.h"
#include "supervisor/supervisor.h"

using namespace paddock;

namespace {

// Documented in paddockd(8).
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

std::string own_directory() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return "/usr/sbin";
  const std::string whole(path, static_cast<std::size_t>(length));
  return whole.substr(0, whole.rfind('/'));
}

// A descriptor a tenant, and several for each that runs.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  constexpr rlim_t kWanted = 262'144;
  rlimit wanted{std::max<rlim_t>(limit.rlim_cur, kWanted), std::max<rlim_t>(limit.rlim_max, kWanted)};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  wanted = {limit.rlim_max, limit.rlim_max};  // not permitted to raise the hard limit: take all of it
  if (::setrlimit(RLIMIT_NOFILE, &wanted) != 0) log::warning("could not raise the limit of open files");
}

log::Level level_of(const std::string &name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "warning") return log::Level::kWarning;
  if (name == "error") return log::Level::kError;
  return log::Level::kInfo;
}

}  // namespace

int main(int argc, char **argv) {
  auto manager = supervisor::ServiceManager::from_environment();
  CLI::App app{"paddockd: runs every tenant's PHP in a sandbox of its own"};
  app.set_version_flag("--version", PADDOCK_VERSION);
  app.footer(
      "Signals: SIGHUP reads the config again, SIGUSR1 reopens the log, SIGTERM and SIGINT stop.\n"
      "Exit codes: 0 stopped as asked, 1 failed, 2 usage or config error. See paddockd(8).");
  std::string config_path = "/etc/paddock/paddock.toml";
  std::string program_dir = own_directory();
  std::string log_file;
  bool hand_over = false;
  bool probe_network = false;
  app.add_option("--config", config_path, "the config file")->capture_default_str();
  app.add_option("--program-dir", program_dir, "where paddock-gateway and paddock-php are")
      ->capture_default_str();
  app.add_option("--log-file", log_file, "write the log there instead of to standard error");
  app.add_flag("--hand-over", hand_over,
               "under systemd: a stop leaves sockets and running requests to the next start");
  app.add_flag(
      "--probe-network", probe_network,
      "try, where nobody sees it, whether this kernel can give tenants a network of their own, and end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }

  if (probe_network) {
    const auto able = network::probe_kernel();
    if (!able) std::fprintf(stderr, "%s\n", able.error().message().c_str());
    return able ? 0 : kExitFailed;
  }

  auto opener = supervisor::OpenerProcess::start();  // while this is small

  const auto loaded = policies::load_config(config_path);
  for (const auto &diagnostic : loaded.diagnostics)
    std::fprintf(stderr, "%s\n", diagnostic.to_string().c_str());
  if (!loaded.config) return kExitUsage;
  if (const auto set = log::setup("paddockd", level_of(loaded.config->runtime.log_level), log_file); !set) {
    std::fprintf(stderr, "paddockd: %s\n", set.error().message().c_str());
    return kExitFailed;
  }
  if (::geteuid() != 0) {
    log::error("paddockd must be started by root: it makes cgroups and namespaces for other users");
    return kExitFailed;
  }
  ::umask(022);
  raise_descriptor_limit();
  if (!opener) log::warning(opener.error().message());
  auto supervisor = supervisor::Supervisor::create(*loaded.config, program_dir, std::move(manager), hand_over,
                                                   opener ? std::optional(std::move(*opener)) : std::nullopt);
  if (!supervisor) {
    log::error(supervisor.error().message());
    return kExitFailed;
  }
  (*supervisor)->run();
  return 0;
}
