// The Paddock behind this Apache: its tenants and where their sockets are.
//
// Read from Paddock's own config as root, when Apache starts or restarts, and inherited by the children,
// which run as Apache's user: they could not read the key that socket paths are made with, and never write.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace paddock::apache {

struct HostTenant {
  std::string name;
  uid_t uid = 0;
  std::string home;
  bool runs_php = true;  // else programs: kind = "cgi" or "fastcgi"
  sockaddr_un address{};
};

class Host {
 public:
  // `config_file` is Paddock's. What is wrong with it is said as `paddock check` says it.
  [[nodiscard]] static Result<std::unique_ptr<const Host>> load(const std::string &config_file);

  // Null where there is none.
  [[nodiscard]] const HostTenant *find(std::string_view name) const;
  // The tenant that runs the PHP of the account with this uid; null where there is none, or more than one.
  [[nodiscard]] const HostTenant *find(uid_t uid) const;
  // Where the gateway is told what was refused here.
  [[nodiscard]] const sockaddr_un &refusal_socket() const { return refusal_socket_; }
  // The admin's page for refusals; empty: none.
  [[nodiscard]] const std::string &refusal_page() const { return refusal_page_; }

 private:
  Host() = default;

  std::vector<std::unique_ptr<const HostTenant>> tenants_;
  std::unordered_map<std::string_view, const HostTenant *> by_name_;
  std::unordered_map<uid_t, const HostTenant *> by_uid_;
  std::string refusal_page_;
  sockaddr_un refusal_socket_{};
};

}  // namespace paddock::apache
