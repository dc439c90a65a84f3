#include "policies/tenant_section.h"

#include "base/log.h"
#include "policies/grants.h"
#include "policies/php_section.h"
#include "policies/socket_path.h"

namespace paddock::policies {
namespace {

// An account that holds other tenants' sockets, or the whole machine, cannot be shut in.
std::string forbidden_account(const Account &account, const Config &config) {
  if (account.uid == 0) return "is uid 0: a sandbox cannot hold root";
  if (account.gid == 0) return "has group 0 (root) as its own: a sandbox cannot hold root";
  if (account.uid == config.apache_uid)
    return "is the web server's own user, which can reach every tenant's socket";
  if (account.uid == config.runtime.gateway_uid)
    return "is the gateway's user, which holds every tenant's socket";
  if (account.uid == config.dashboard.uid)
    return "is the dashboard's user, which sees every tenant's figures";
  return {};
}

void resolve(Section &section, const Config &config, const Machine &machine, Tenant &tenant) {
  const auto account = machine.account(tenant.user);
  if (!account) {
    tenant.problem = "user " + log::quoted(tenant.user) + ": " + account.error().message();
  } else if (!account->has_value()) {
    tenant.problem = "user " + log::quoted(tenant.user) + " does not exist";
  } else {
    tenant.uid = (*account)->uid;
    tenant.gid = (*account)->gid;
    if (const std::string why = forbidden_account(**account, config); !why.empty()) {
      section.fail("user", "user " + log::quoted(tenant.user) + " " + why, "an account of the tenant's own");
      return;
    }
    if (tenant.home.empty()) tenant.home = (*account)->home;
    if (!is_plain_absolute_path(tenant.home) || tenant.home == "/") {
      tenant.problem = "home " + log::quoted(tenant.home) + " is not a directory of the user's own";
    } else if (const std::string why = machine.home_problem(tenant.home, tenant.uid); !why.empty()) {
      tenant.problem = "home " + log::quoted(tenant.home) + " " + why;
    }
  }
  if (!tenant.problem.empty()) section.warn("", tenant.problem + "; this tenant is left out");
}

constexpr std::size_t kLongestSocket = 107;  // sun_path (unix(7)), without its NUL

void read_program(Section &section, const Machine &machine, Tenant &tenant) {
  Program &program = tenant.program;
  if (const auto kind = section.choice("kind", {"php", "fastcgi", "cgi"}))
    program.kind = static_cast<Kind>(*kind);
  const auto command = section.texts("command");
  const auto listen = section.path("listen");
  if (command) {
    for (const auto &[text, where] : *command) program.command.push_back(text);
    if (program.kind != Kind::kFastcgi)
      section.fail("command", "only a tenant of kind = \"fastcgi\" has one", "kind = \"fastcgi\"");
    else if (program.command.empty() || !is_plain_absolute_path(program.command.front()))
      section.fail("command", "names no program", "an absolute path, then its arguments");
    else if (!machine.exists(program.command.front()))
      section.warn("command", "there is no " + log::quoted(program.command.front()));
  }
  if (listen) {
    program.listen = *listen;
    if (program.command.empty())
      section.fail("listen", "says where the command listens, and there is none", "command = [...] too");
    else if (program.listen.size() > kLongestSocket)
      section.fail("listen", "too long for a socket",
                   "at most " + std::to_string(kLongestSocket) + " characters");
  }
  if (program.kind != Kind::kPhp && !tenant.ini.empty())
    section.warn("kind", "php_value and its kin mean nothing to programs that are not Paddock's own PHP");
}

}  // namespace

void read_tenant(Section &section, const Config &config, const Machine &machine, Tenant &tenant) {
  tenant.where = section.location();
  const auto user = section.text("user");
  const auto home = section.path("home");
  tenant.user = user.value_or(tenant.name);
  tenant.home = home.value_or("");
  tenant.plan = section.text("plan").value_or("default");
  tenant.php = section.text("php").value_or("");
  read_ini(section, tenant.ini);
  read_program(section, machine, tenant);
  read_environment(section, tenant.environment);
  read_binds(section, config.runtime.hidden(), machine, tenant.binds, &tenant.problem);
  read_grants(section, tenant.grants);
  section.finish();
  for (const auto &bind : tenant.binds) {
    const auto plan = config.plans.find(tenant.plan);
    const auto require = [&](std::string_view grant, const std::string &what) {
      if (plan == config.plans.end() || !has_grant(plan->second.grants, grant))
        require_grant(section, "bind", tenant.grants, grant, log::quoted(bind.source, 128) + what);
    };
    if (bind.writable) require(kGrantWritableBind, " would be writable for the tenant");
    if (!bind.nosuid || !bind.nodev)
      require(kGrantLooseBind, " would have working device nodes or set-ID bits");
  }
  if (tenant.user.empty()) {
    section.fail("user", "empty", "the name of an account");
    return;
  }
  const bool half_read =
      (!user && section.find("user") != nullptr) || (!home && section.find("home") != nullptr);
  if (!half_read) resolve(section, config, machine, tenant);
  const int longest = longest_name(config.runtime);
  if (longest >= 1 && tenant.name.size() > static_cast<std::size_t>(longest))
    section.fail("", "the name is too long for the path of a socket in " + config.runtime.run_dir,
                 "at most " + std::to_string(longest) + " characters, or a shorter run_dir");
}

void check_plan(Section &section, const Config &config, const Tenant &tenant) {
  check_php(section, config, tenant.php);
  if (config.plans.contains(tenant.plan)) return;
  std::vector<std::string> names;
  for (const auto &[known, plan] : config.plans) names.push_back(known);
  section.fail("plan", "there is no plan " + log::quoted(tenant.plan, 64), "the name of a plan", {},
               nearest_of(tenant.plan, names));
}

}  // namespace paddock::policies
