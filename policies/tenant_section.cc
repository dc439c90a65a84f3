#include "policies/tenant_section.h"

#include "base/log.h"
#include "policies/grants.h"

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

}  // namespace

void read_tenant(Section &section, const Config &config, const std::vector<std::string> &hidden,
                 const Machine &machine, Tenant &tenant) {
  tenant.where = section.location();
  const auto user = section.text("user");
  const auto home = section.path("home");
  tenant.user = user.value_or(tenant.name);
  tenant.home = home.value_or("");
  tenant.plan = section.text("plan").value_or("default");
  read_ini(section, tenant.ini);
  read_environment(section, tenant.environment);
  read_binds(section, hidden, machine, tenant.binds, &tenant.problem);
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
}

}  // namespace paddock::policies
