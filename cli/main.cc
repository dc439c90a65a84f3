// `paddock`: asks the supervisor, and looks at config and machine. docs/man/paddock.1
#include <CLI/CLI.hpp>
#include <ctime>
#include <iostream>

#include "cli/check.h"
#include "cli/doctor.h"
#include "cli/events.h"
#include "cli/import_fpm.h"
#include "cli/learned.h"
#include "cli/policy.h"
#include "cli/rules.h"
#include "cli/shell.h"
#include "cli/status.h"
#include "cli/text.h"
#include "cli/token.h"
#include "cli/top.h"
#include "cli/usage.h"
#include "cli/vhost.h"

using namespace paddock;
using cli::ExitStatus;
using control::Command;

namespace {

constexpr const char *kFooter =
    "Exit status: 0 done, nothing found; 1 failed, or check or doctor found something; 2 wrong usage, or a "
    "config\n"
    "with errors; 3 the supervisor is not running; 4 not permitted; 5 unknown tenant.\n"
    "See paddock(1), paddock.toml(5), paddockd(8).";

struct Arguments {
  std::string tenant;
  std::string reason;
  std::string until;
  std::string profile;
  std::string call;
  std::vector<std::string> words;
  std::string plan;
  cli::VhostOptions vhost;
  cli::UsageOptions usage;
  cli::EventsOptions events;
  cli::ImportOptions import;
  cli::RulesOptions rules;
  cli::TopOptions top;
  std::string role = "admin";
};

class Commands {
 public:
  Commands(CLI::App &app, cli::Session &session) : app_(app), session_(session) {}

  CLI::App *add(const char *name, const char *help, std::function<ExitStatus()> run,
                CLI::App *group = nullptr) {
    CLI::App *command = (group == nullptr ? &app_ : group)->add_subcommand(name, help);
    command->add_flag("--json", session_.json, "Print JSON");
    command->callback([this, run = std::move(run)] { status_ = run(); });
    return command;
  }
  // A word that others follow.
  CLI::App *group(const char *name, const char *help) {
    CLI::App *command = app_.add_subcommand(name, help);
    command->require_subcommand(1);
    return command;
  }
  [[nodiscard]] ExitStatus status() const { return status_; }

 private:
  CLI::App &app_;
  cli::Session &session_;
  ExitStatus status_ = ExitStatus::kOk;
};

// block and throttle: they may have an end.
ExitStatus act_until(const cli::Session &session, const Arguments &arguments, Command command) {
  control::Request request{command, arguments.tenant, arguments.reason, {}};
  request.plan = arguments.plan;
  if (!arguments.until.empty()) {
    const std::int64_t now = std::time(nullptr);
    request.until = cli::parse_time(arguments.until, now);
    if (!request.until)
      return session.fail(ExitStatus::kUsage,
                          "--until: expected a duration such as 2h or 7d, or a time such as "
                          "2026-01-31T18:00");
    if (*request.until <= now) return session.fail(ExitStatus::kUsage, "--until: this time has passed");
  }
  return cli::act(session, request);
}

void add_import(Commands &commands, const cli::Session &session, Arguments &arguments) {
  CLI::App *import = commands.add("import", "Write tenants and plans from another server's configuration",
                                  [&] { return cli::import_fpm(session, arguments.import); });
  import->add_option("kind", "fpm")->required()->check(CLI::IsMember({"fpm"}));
  import->add_option("source", arguments.import.source, "PHP-FPM's pool.d, or one file")->required();
  import->add_option("--output", arguments.import.directory,
                     "Directory for the files, one a tenant; else all goes to standard output");
  import->add_flag("--replace", arguments.import.replace, "Write over files that exist");
}

void add_commands(Commands &commands, const cli::Session &session, Arguments &arguments) {
  commands.add("check", "Tell what is wrong with the config", [&] { return cli::check(session); });
  commands.add("doctor", "Tell what this machine lacks, and how to mend it",
               [&] { return cli::doctor(session); });
  commands
      .add("status", "Show all tenants, or one and its running requests",
           [&] { return cli::status(session, arguments.tenant); })
      ->add_option("tenant", arguments.tenant, "Only this one");
  commands
      .add("sockets", "Print TENANT<TAB>PATH of the tenants' sockets",
           [&] { return cli::sockets(session, arguments.tenant); })
      ->add_option("tenant", arguments.tenant, "Only this one");

  const std::pair<Command, const char *> actions[] = {
      {Command::kStart, "Start a tenant's sandbox (requests start it too)"},
      {Command::kStop, "Stop it, after its running requests; the next request starts it again"},
      {Command::kRestart, "Stop it, after its running requests, and start it"},
      {Command::kKill, "Kill all of a tenant's processes at once"},
      {Command::kFreeze, "Halt all of a tenant's processes; requests are refused meanwhile"},
      {Command::kThaw, "Let them go on"},
      {Command::kUnblock, "Serve a blocked tenant again"},
      {Command::kUnthrottle, "Hold a tenant to its own plan's limits again"},
  };
  for (const auto &[command, help] : actions)
    commands
        .add(std::string(name_of(command)).c_str(), help,
             [&, command = command] {
               return cli::act(session, {command, arguments.tenant, "", {}});
             })
        ->add_option("tenant", arguments.tenant, "The tenant")
        ->required();

  CLI::App *blocking =
      commands.add("block", "Kill a tenant's processes and refuse its requests, over restarts too",
                   [&] { return act_until(session, arguments, Command::kBlock); });
  blocking->add_option("tenant", arguments.tenant, "The tenant")->required();
  blocking->add_option("--reason", arguments.reason, "Why; shown in status and kept in the log")->required();
  blocking->add_option("--until", arguments.until,
                       "A duration (2h, 7d) or a time (2026-01-31T18:00); else for good");

  CLI::App *throttling = commands.add("throttle", "Hold a tenant to another plan's limits, over restarts too",
                                      [&] { return act_until(session, arguments, Command::kThrottle); });
  throttling->add_option("tenant", arguments.tenant, "The tenant")->required();
  throttling->add_option("--plan", arguments.plan, "The plan whose limits hold")->required();
  throttling->add_option("--until", arguments.until,
                         "A duration (2h, 7d) or a time (2026-01-31T18:00); else until unthrottle");

  commands
      .add("reload", "Let the supervisor read its config again, or one tenant's part of it",
           [&] { return cli::reload(session, arguments.tenant); })
      ->add_option("tenant", arguments.tenant,
                   "Only this one: in the file that declared it, or the included file TENANT.toml");

  CLI::App *shell = commands.add("shell", "Work in a tenant's sandbox, with the tenant's rights", [&] {
    // The command's own status, whatever it is.
    return static_cast<ExitStatus>(cli::shell(session, arguments.tenant, arguments.words));
  });
  shell->add_option("tenant", arguments.tenant, "The tenant")->required();
  shell->add_option("command", arguments.words, "What is run there, after --; else /bin/sh");

  CLI::App *policy = commands.group("policy", "Look at seccomp profiles");
  CLI::App *explain = commands.add(
      "explain", "Tell what a profile allows, and why",
      [&] { return cli::explain_policy(session, arguments.profile, arguments.call); }, policy);
  explain->add_option("profile", arguments.profile, "default, strict, shell, or one of seccomp_dir")
      ->required();
  explain->add_option("call", arguments.call, "Only this system call: a name or a number");

  commands
      .add(
          "learned", "Tell what a tenant's plan would refuse, as the kernel logged it (seccomp_learning)",
          [&] { return cli::learned_policy(session, arguments.tenant); }, policy)
      ->add_option("tenant", arguments.tenant, "The tenant")
      ->required();

  CLI::App *top = commands.add("top", "Show who uses the machine now, live, and act on it",
                               [&] { return cli::top(session, arguments.top); });
  top->add_flag("--batch,-b", arguments.top.batch, "Print tables instead of drawing on the terminal");
  top->add_option("--interval,-d", arguments.top.interval, "Seconds between two")
      ->check(CLI::Range(0.2, 3600.0))
      ->capture_default_str();
  top->add_option("--count,-n", arguments.top.count, "With --batch or --json: so many, then end");
  top->add_option("--sort", arguments.top.sort, "By what")
      ->check(CLI::IsMember(std::vector<std::string>(cli::kTopOrders.begin(), cli::kTopOrders.end())))
      ->capture_default_str();
  top->add_option("--filter", arguments.top.filter, "Only tenants with this in their name");

  commands
      .add("link", "Make a way for a tenant into the dashboard, good for one time and a day",
           [&] { return cli::link(session, arguments.tenant); })
      ->add_option("tenant", arguments.tenant, "The tenant")
      ->required();
  commands
      .add("token", "Make a new token for the dashboard, and void the old one",
           [&] { return cli::token(session, arguments.role); })
      ->add_option("role", arguments.role, "admin: to log in; metrics: for Prometheus")
      ->check(CLI::IsMember({"admin", "metrics"}))
      ->capture_default_str();

  CLI::App *vhost = commands.add("vhost", "Print the web server's lines for a tenant",
                                 [&] { return cli::vhost(session, arguments.vhost); });
  vhost->add_option("tenant", arguments.vhost.tenant, "The tenant")->required();
  vhost->add_option("--server", arguments.vhost.server, "apache or nginx")
      ->check(CLI::IsMember({"apache", "nginx"}))
      ->capture_default_str();
  vhost->add_option("--name", arguments.vhost.name, "Host name: print a whole virtual host");
  vhost->add_option("--docroot", arguments.vhost.docroot, "Its document root");
  add_import(commands, session, arguments);
}

void add_book_commands(Commands &commands, const cli::Session &session, Arguments &arguments) {
  const auto names = [](const auto &all) { return std::vector<std::string>(all.begin(), all.end()); };
  CLI::App *usage = commands.add("usage", "Show what a tenant has used, or who has used most",
                                 [&] { return cli::usage(session, arguments.usage); });
  usage->add_option("tenant", arguments.usage.tenant, "Only this one");
  usage->add_option("--since", arguments.usage.since, "How long ago (24h, 7d), or a time")
      ->capture_default_str();
  usage->add_option("--top", arguments.usage.top, "Of all tenants, those with most of it")
      ->check(CLI::IsMember(names(control::kFigures)))
      ->capture_default_str();
  usage->add_option("--limit", arguments.usage.limit, "At most so many tenants")
      ->check(CLI::Range(1U, control::kMaxListed))
      ->capture_default_str();
  usage->add_option("--by", arguments.usage.step, "Of one tenant, each minute, hour or day too")
      ->check(CLI::IsMember(names(control::kSteps)));

  CLI::App *rules = commands.add("rules", "Show the abuse rules, or what they would have done",
                                 [&] { return cli::rules(session, arguments.rules); });
  rules
      ->add_option("what", arguments.rules.what,
                   "list, or replay: what the config's rules would have done in the past")
      ->check(CLI::IsMember({"list", "replay"}))
      ->capture_default_str();
  rules->add_option("--since", arguments.rules.since, "Replay: how long ago (24h, 7d), or a time")
      ->capture_default_str();
  rules->add_option("--by", arguments.rules.step, "Replay: by the use of each minute, hour or day")
      ->check(CLI::IsMember(names(control::kSteps)))
      ->capture_default_str();

  CLI::App *events = commands.add("events", "Show what befell tenants, and what was done to them",
                                  [&] { return cli::events(session, arguments.events); });
  events->add_option("tenant", arguments.events.tenant, "Only this one's");
  events->add_option("--since", arguments.events.since, "How long ago (24h, 7d), or a time");
  events->add_option("--limit", arguments.events.limit, "At most so many, the last ones")
      ->check(CLI::Range(1U, control::kMaxListed))
      ->capture_default_str();
  events->add_flag("--follow,-f", arguments.events.follow, "Go on with those to come");
  events->add_flag("--snapshots", arguments.events.snapshots, "Show what the tenant was doing, too");
}

int run(int argc, char **argv) {
  CLI::App app("Paddock: a sandbox for every user's PHP");
  cli::Session session{.out = std::cout, .err = std::cerr};
  Arguments arguments;
  app.set_version_flag("--version", std::string("paddock ") + PADDOCK_VERSION);
  CLI::Option *config = app.add_option("--config", session.config, "The config")->capture_default_str();
  app.add_option("--socket", session.socket,
                 "The control socket (default: control.sock in the config's run_dir)");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  config->each([&](const std::string &) { session.config_given = true; });
  Commands commands(app, session);
  add_commands(commands, session, arguments);
  add_book_commands(commands, session, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    // CLI11 only says that a subcommand is required.
    if (const auto words = app.remaining(); !words.empty() && app.get_subcommands().empty())
      return static_cast<int>(session.fail(
          ExitStatus::kUsage, "unknown command " + cli::printable(words.front()) + "; see paddock --help"));
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitStatus::kUsage);
  }
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "paddock: cannot write to standard output\n";
    return static_cast<int>(ExitStatus::kFailed);
  }
  return static_cast<int>(commands.status());
}

}  // namespace

int main(int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception &error) {
    std::cerr << "paddock: " << error.what() << '\n';
    return static_cast<int>(ExitStatus::kFailed);
  }
}
