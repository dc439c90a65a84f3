// paddock-php: PHP's processes. The zygote and what is cloned from it, or, for tests, benchmarks and the
// curious, a pool on a socket without any sandbox.
#include "php_worker/program.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "base/log.h"
#include "php_worker/sapi.h"
#include "php_worker/serve.h"
#include "php_worker/title.h"
#include "php_worker/zygote.h"

namespace {

using paddock::php_worker::ServeOptions;
using paddock::php_worker::ZygoteOptions;

// "name=value", "name" alone is "name=1", as php -d has it.
std::pair<std::string, std::string> ini_pair(const std::string &text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) return {text, "1"};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

int report(const paddock::Result<int> &ended) {
  if (ended) return *ended;
  paddock::log::error(ended.error().message());
  return 1;
}

}  // namespace

int paddock::php_worker::run_program(int argc, char **argv) {
  use_title_space(argc, argv);
  if (const auto set = paddock::log::setup("paddock-php", paddock::log::Level::kInfo); !set) {
    std::fprintf(stderr, "paddock-php: %s\n", set.error().message().c_str());
    return 1;
  }
  CLI::App app("Runs PHP behind FastCGI sockets, each tenant's in a sandbox of its own", "paddock-php");
  app.set_version_flag("--version", std::string("paddock-php ") + PADDOCK_VERSION + ", PHP " +
                                        paddock::php_worker::php_version());
  app.require_subcommand(1);
  std::string title_space;
  app.add_option(
         std::string(paddock::php_worker::kTitleSpace.substr(0, paddock::php_worker::kTitleSpace.size() - 1)),
         title_space)
      ->group("");
  app.fallthrough();

  ZygoteOptions zygote;
  CLI::App *zygote_command =
      app.add_subcommand("zygote", "Initialise PHP and clone sandboxes for the supervisor");
  zygote_command->add_option("--link-fd", zygote.link_fd, "The socket to the supervisor, inherited")
      ->required();
  zygote_command->add_option("--ini-dir", zygote.ini_dir, "Directory of php.ini and conf.d");
  zygote_command->add_option("--name", zygote.name, "What the config calls this PHP, for titles");
  zygote_command->add_option("--opcache-size", zygote.opcache_mib,
                             "opcache.memory_consumption, MiB (default: php.ini's)");

  ServeOptions serve;
  std::vector<std::string> ini;
  std::vector<std::string> values;
  std::vector<std::string> admin_values;
  CLI::App *serve_command = app.add_subcommand(
      "serve",
      "Serve one pool in the foreground as the calling user, WITHOUT a sandbox: scripts can do all that the "
      "caller can. SIGTERM ends it when running requests have ended");
  serve_command->add_option("--listen", serve.listen, "Path of the Unix socket to make")->required();
  serve_command->add_option("--workers", serve.workers_max, "Most workers")->check(CLI::Range(1, 256));
  serve_command->add_option("--workers-start", serve.workers_start, "Workers that always run (default: all)")
      ->check(CLI::Range(1, 256));
  serve_command->add_option("--requests-per-worker", serve.requests_per_worker,
                            "Replace a worker after so many");
  serve_command->add_option("--name", serve.name, "Name of the pool in titles and logs");
  serve_command->add_option("--ini-dir", serve.ini_dir, "Directory of php.ini and conf.d");
  serve_command->add_option("--log", serve.log, "The pool's log (default: standard error)");
  serve_command->add_option("-d", ini, "name=value: an ini entry, as in php.ini")->allow_extra_args(false);
  serve_command->add_option("--php-value", values, "name=value: an entry of the plan")
      ->allow_extra_args(false);
  serve_command->add_option("--php-admin-value", admin_values, "name=value: an admin entry of the plan")
      ->allow_extra_args(false);
  serve_command
      ->add_option("--ini-from-web", serve.ini_from_web, "PHP_VALUE from the web server: none, value, admin")
      ->check(CLI::IsMember({"none", "value", "admin"}));
  serve_command->add_flag("--htaccess,!--no-htaccess", serve.serving.htaccess,
                          "Obey php_value in .htaccess files (default: yes)");
  serve_command->add_option("--deadline", serve.serving.deadline_ms, "Milliseconds that a request may run");
  serve_command->add_option("--slow-log", serve.serving.slow_ms,
                            "Log the backtrace of a request that runs so many milliseconds");
  serve_command->add_option("--status-path", serve.serving.status_path,
                            "SCRIPT_NAME of PHP-FPM's status page");
  serve_command->add_option("--ping-path", serve.serving.ping_path, "SCRIPT_NAME of a page that says pong");
  CLI11_PARSE(app, argc, argv);

  if (*zygote_command) return report(run_zygote(zygote));
  for (const std::string &entry : ini) serve.ini.push_back(ini_pair(entry));
  for (const auto &[list, admin] : {std::pair(&values, false), std::pair(&admin_values, true)}) {
    for (const std::string &entry : *list) {
      const auto [name, value] = ini_pair(entry);
      serve.plan_ini.push_back({name, value, admin});
    }
  }
  return report(run_serve(serve));
}
