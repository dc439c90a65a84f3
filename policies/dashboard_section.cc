#include "policies/dashboard_section.h"

#include <arpa/inet.h>

#include <charconv>

#include "base/log.h"

namespace paddock::policies {
namespace {

enum class Reach : std::uint8_t { kInvalid, kLoopback, kBeyond };

// "127.0.0.1:9180", "[::1]:9180"
Reach reach_of(const std::string &listen) {
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string::npos) return Reach::kInvalid;
  unsigned port = 0;
  const char *const end = listen.data() + listen.size();
  const auto parsed = std::from_chars(listen.data() + colon + 1, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end || port == 0 || port > 65535) return Reach::kInvalid;
  std::string host = listen.substr(0, colon);
  in_addr four{};
  in6_addr six{};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, host.c_str(), &six) != 1) return Reach::kInvalid;
    return IN6_IS_ADDR_LOOPBACK(&six) ? Reach::kLoopback : Reach::kBeyond;
  }
  if (::inet_pton(AF_INET, host.c_str(), &four) != 1) return Reach::kInvalid;
  return (ntohl(four.s_addr) >> 24) == 127 ? Reach::kLoopback : Reach::kBeyond;
}

void read_url(Section &section, Dashboard &dashboard) {
  auto url = section.text("public_url");
  if (!url || url->empty()) return;
  if (!url->starts_with("https://") && !url->starts_with("http://")) {
    section.fail("public_url", "wrong value", "a URL such as \"https://example.org/paddock\"",
                 "string " + log::quoted(*url, 64));
    return;
  }
  if (url->back() == '/') url->pop_back();
  dashboard.public_url = *url;
}

void read_account(Section &section, const Machine &machine, Config &config) {
  Dashboard &dashboard = config.dashboard;
  const auto account = machine.account(dashboard.user);
  const std::string who = "user " + log::quoted(dashboard.user);
  if (!account) {
    section.fail("user", who + ": " + account.error().message());
  } else if (!account->has_value()) {
    section.fail("user", who + " does not exist", "an account");
  } else if ((*account)->uid == 0) {
    section.fail("user", "is uid 0", "an account without rights of its own");
  } else if ((*account)->uid == config.runtime.gateway_uid || (*account)->uid == config.apache_uid) {
    section.fail("user", who + " is the web server's or the gateway's user", "an account of its own");
  } else {
    dashboard.uid = (*account)->uid;
    dashboard.gid = (*account)->gid;
  }
}

}  // namespace

void read_dashboard(Section &section, const Machine &machine, Config &config) {
  Dashboard &dashboard = config.dashboard;
  if (const auto listen = section.text("listen"); listen && !listen->empty()) {
    const Reach reach = reach_of(*listen);
    if (reach == Reach::kInvalid) {
      section.fail("listen", "wrong value", "a numeric address and a port such as \"127.0.0.1:9180\"",
                   "string " + log::quoted(*listen, 64));
    } else {
      dashboard.listen = *listen;
    }
    if (reach == Reach::kBeyond)
      section.warn("listen",
                   "others than this machine can reach it, and it speaks no TLS: better listen on "
                   "127.0.0.1 and let the web server pass it on");
  }
  if (const auto user = section.text("user")) dashboard.user = *user;
  if (const auto start = section.boolean("start")) dashboard.start = *start;
  read_url(section, dashboard);
  if (const auto path = section.path("token_file")) dashboard.token_file = *path;
  section.finish();
  if (dashboard.token_file.empty()) dashboard.token_file = config.runtime.state_dir + "/dashboard.tokens";
  if (!dashboard.listen.empty()) read_account(section, machine, config);
}

}  // namespace paddock::policies
