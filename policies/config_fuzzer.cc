// Any text at all as a config: no crash, and a config exactly where there is no error.
#include <cstdint>
#include <cstdlib>

#include "policies/config_file.h"

using namespace paddock;
using namespace paddock::policies;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const Machine machine = {
      .account = [](const std::string &user) -> Result<std::optional<Account>> {
        if (user.size() > 20) return std::optional<Account>();
        const auto uid = static_cast<uid_t>(user.size());
        return std::optional(Account{uid, uid, "/home/" + user});
      },
      .group = [](const std::string &) -> Result<std::optional<gid_t>> { return std::optional<gid_t>(7); },
      // Any file that is included: a plan and a tenant that the text may declare too.
      .read = [](const std::string &, std::size_t) -> Result<std::string> {
        return std::string("[plan.extra]\nworkers = 2\n[tenant.extra]\nuser = \"extra\"\nplan = \"extra\"\n");
      },
      .expand = [](const std::string &pattern) { return std::vector<std::string>{pattern}; },
      .exists = [](const std::string &path) { return path.size() % 2 == 0; },
      .home_problem = [](const std::string &, uid_t uid) { return uid % 2 == 0 ? "is missing" : ""; },
      .networks =
          [] {
            return std::vector<KnownNetwork>{{{0x0A000000, 8}, "eth0"}};
          },
  };
  const auto loaded =
      parse_config({reinterpret_cast<const char *>(data), size}, "/etc/paddock.toml", machine);
  bool error = false;
  for (const auto &found : loaded.diagnostics) {
    error = error || found.severity == Severity::kError;
    // A diagnostic is one line, whatever the text holds.
    for (const char c : found.to_string())
      if (static_cast<unsigned char>(c) < 0x20) std::abort();
  }
  if (error == loaded.config.has_value()) std::abort();
  if (loaded.config)
    for (const auto &[name, tenant] : loaded.config->tenants) {
      if (!loaded.config->plans.contains(tenant->plan)) std::abort();
      if (tenant->problem.empty() && (tenant->uid == 0 || tenant->home.empty())) std::abort();
    }
  return 0;
}
