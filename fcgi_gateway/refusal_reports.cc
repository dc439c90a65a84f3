#include "fcgi_gateway/refusal_reports.h"

#include <sys/epoll.h>

#include <cerrno>

#include "protocols/gateway_link/refusal_report.h"

namespace paddock::fcgi_gateway {
namespace {

using gateway_link::RefusalReport;

// Of a flood; then the tenants' connections have their turn.
constexpr int kAtOnce = 64;

}  // namespace

Result<void> RefusalReports::start(UniqueFd socket, Callback callback) {
  socket_ = MessageSocket(std::move(socket));
  callback_ = std::move(callback);
  PADDOCK_CHECK(socket_.set_nonblocking(true));
  return loop_.watch(socket_.fd(), EPOLLIN, [this](std::uint32_t) { receive(); });
}

void RefusalReports::receive() {
  for (int i = 0; i < kAtOnce; ++i) {
    const auto packet = socket_.receive();
    if (!packet && packet.error().code == EAGAIN) return;
    if (!packet || !packet->has_value()) continue;
    const auto report = (*packet)->as<RefusalReport>();
    if (!report || report->reason >= gateway_link::kWebServerReasons.size() ||
        report->requests > RefusalReport::kMostRequests)
      continue;
    callback_(report->tenant, std::string(gateway_link::kWebServerReasons[report->reason]), report->requests);
  }
}

void RefusalReports::stop() {
  if (socket_.valid()) loop_.unwatch(socket_.fd());
}

}  // namespace paddock::fcgi_gateway
