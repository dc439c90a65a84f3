#include "apache/refusal_report.h"

#include <sys/socket.h>

#include "base/unique_fd.h"
#include "base/wire.h"

namespace paddock::apache {

bool report_refusals(const sockaddr_un &gateway, std::string_view tenant,
                     gateway_link::WebServerReason reason, std::uint32_t requests) {
  // A socket each time: refusals are no hot path, and httpd's children come and go with threads in flight.
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return false;
  const auto bytes = wire::encode(
      gateway_link::RefusalReport{std::string(tenant), static_cast<std::uint8_t>(reason), requests});
  return ::sendto(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr *>(&gateway), sizeof gateway) >= 0;
}

}  // namespace paddock::apache
