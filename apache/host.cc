#include "apache/host.h"

#include <sys/socket.h>

#include <cstring>

#include "policies/config_file.h"
#include "policies/socket_path.h"

namespace paddock::apache {
namespace {

// The config has been refused if a name made this path too long.
sockaddr_un unix_address(const std::string &path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

}  // namespace

Result<std::unique_ptr<const Host>> Host::load(const std::string &config_file) {
  const policies::Loaded loaded = policies::load_config(config_file);
  if (!loaded.config) {
    std::string wrong = "use Paddock's config";
    for (const policies::Diagnostic &diagnostic : loaded.diagnostics) wrong += "\n" + diagnostic.to_string();
    return Error{wrong};
  }
  const policies::Config &config = *loaded.config;
  PADDOCK_TRY(const policies::SocketKey key, policies::load_or_create_socket_key(config.runtime.state_dir));

  std::unique_ptr<Host> host(new Host);
  host->refusal_socket_ = unix_address(policies::refusal_socket_path(config.runtime));
  host->refusal_page_ = config.runtime.refusal_page;
  for (const auto &[name, tenant] : config.tenants) {
    const std::string path = policies::socket_path(config.runtime, key, name);
    auto made = std::make_unique<HostTenant>();
    made->name = name;
    made->uid = tenant->uid;
    made->home = tenant->home;
    made->runs_php = tenant->program.kind == policies::Kind::kPhp;
    made->address = unix_address(path);
    const HostTenant *kept = host->tenants_.emplace_back(std::move(made)).get();
    host->by_name_.emplace(kept->name, kept);
    if (!tenant->problem.empty() || !kept->runs_php) continue;  // with a problem, its uid is not known
    const auto [at, is_first] = host->by_uid_.emplace(kept->uid, kept);
    if (!is_first) at->second = nullptr;
  }
  return std::unique_ptr<const Host>(std::move(host));
}

const HostTenant *Host::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

const HostTenant *Host::find(uid_t uid) const {
  const auto found = by_uid_.find(uid);
  return found == by_uid_.end() ? nullptr : found->second;
}

}  // namespace paddock::apache
