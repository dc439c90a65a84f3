#include "cli/doctor.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>

#include "cgroups/hierarchy.h"
#include "cli/apache_checks.h"
#include "cli/host_checks.h"
#include "cli/text.h"

namespace paddock::cli {
namespace {

using control::Finding;
using control::FindingSeverity;

// Nothing is wrong with a grant; but who looks after the machine is to see each.
void list_grants(const policies::Config &config, Findings &findings) {
  const auto list = [&](const std::string &holder, const std::vector<policies::Grant> &grants) {
    for (const auto &grant : grants)
      findings.push_back(
          {FindingSeverity::kOk, "grant",
           holder + " has " + grant.name + ": " + grant.reason + " (" + grant.where.to_string() + ")", ""});
  };
  for (const auto &[name, plan] : config.plans) list("plan " + name, plan.grants);
  for (const auto &[name, tenant] : config.tenants) list("tenant " + name, tenant->grants);
}

void check_loaded(const Session &session, const policies::Loaded &loaded, Findings &findings) {
  for (const auto &found : loaded.diagnostics) {
    const bool error = found.severity == policies::Severity::kError;
    findings.push_back({error ? FindingSeverity::kError : FindingSeverity::kWarning, "config",
                        found.where.to_string() + ": " + found.explanation(), "correct " + found.where.file});
  }
  if (loaded.config) check_config_files(*loaded.config, findings);
  if (loaded.config) list_grants(*loaded.config, findings);
  if (!loaded.config && loaded.diagnostics.empty())
    findings.push_back({FindingSeverity::kError, "config", session.config + " cannot be used", ""});
}

void check_host_cgroup(bool allow_missing, Findings &findings) {
  const auto layout = cgroups::HostLayout::detect();
  if (!layout) {
    findings.push_back(
        {FindingSeverity::kError, "cgroup", layout.error().message(), "mount /proc and cgroup v2"});
    return;
  }
  check_cgroup(layout->mount, layout->hybrid, layout->controllers, allow_missing, findings);
}

void check_supervisor(const Session &session, Findings &findings) {
  const auto answer = ask(session, {control::Command::kDoctor, "", "", {}}, std::chrono::seconds(10));
  if (const auto *none = std::get_if<NoAnswer>(&answer)) {
    const bool stopped = none->status == ExitStatus::kNotRunning;
    findings.push_back({FindingSeverity::kError, "supervisor",
                        none->failure ? none->failure->message : none->message,
                        stopped ? "systemctl start paddock, or paddockd --config " + session.config
                                : "ask as root or as a member of admin_group"});
    return;
  }
  const auto result = control::result_from_json<control::Doctor>(std::get<control::Reply>(answer).result);
  if (!result) {
    findings.push_back({FindingSeverity::kError, "supervisor", result.error().message(),
                        "restart paddockd: it is of another version than this program"});
    return;
  }
  const auto &host = result->host;
  if (host.gateway_pid == 0 || host.zygote_pid == 0) {
    findings.push_back(
        {FindingSeverity::kError, "supervisor",
         std::string(host.gateway_pid == 0 ? "the gateway" : "PHP's zygote") + " is not running",
         "see paddockd's log for why it ended"});
  } else {
    findings.push_back({FindingSeverity::kOk, "supervisor",
                        "paddockd " + host.version + " (pid " + std::to_string(host.pid) + "), PHP " +
                            host.php_version + ", cgroup " + host.cgroup,
                        ""});
  }
  findings.insert(findings.end(), result->findings.begin(), result->findings.end());
}

std::string to_text(const Finding &finding) {
  std::string severity(name_of(finding.severity));
  severity.resize(9, ' ');
  std::string out = severity + printable(finding.subject) + ": " + printable(finding.message, 4096) + "\n";
  if (finding.severity != FindingSeverity::kOk && !finding.mend.empty())
    out += "         mend: " + printable(finding.mend, 4096) + "\n";
  return out;
}

}  // namespace

ExitStatus doctor(const Session &session) {
  control::Findings all;
  Findings &findings = all.findings;
  utsname system{};
  if (::uname(&system) == 0) check_kernel(system.release, findings);
  const auto loaded = policies::load_config(session.config);
  const policies::Runtime defaults;
  const policies::Runtime &runtime = loaded.config ? loaded.config->runtime : defaults;
  check_namespaces("", loaded.config ? loaded.config->tenants.size() : 0, findings);
  if (loaded.config) check_networks(*loaded.config, findings);
  check_host_cgroup(runtime.allow_missing_controllers, findings);
  for (const auto &php :
       loaded.config ? loaded.config->phps_in_use() : std::set{policies::Config().default_php()})
    check_php("", php, findings);
  check_apache("", findings);
  if (loaded.config) check_apache_sites("", *loaded.config, findings);
  check_loaded(session, loaded, findings);
  if (loaded.config) check_directories(*loaded.config, findings);
  check_supervisor(session, findings);

  if (session.json) {
    session.out << to_json(all) << '\n';
  } else {
    for (const auto &finding : findings) session.out << to_text(finding);
    if (::geteuid() != 0)
      session.err << "paddock: not run as root: the modes of root's files were not looked at\n";
  }
  const bool fine = std::all_of(findings.begin(), findings.end(), [](const Finding &finding) {
    return finding.severity == FindingSeverity::kOk;
  });
  return fine ? ExitStatus::kOk : ExitStatus::kFailed;
}

}  // namespace paddock::cli
