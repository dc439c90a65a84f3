#include "supervisor/gateway.h"

#include <array>

#include "base/log.h"

namespace paddock::supervisor {

Gateway::Gateway(boost::asio::io_context &io, SpawnOptions options, Callbacks callbacks)
    : callbacks_(std::move(callbacks)),
      program_(
          io, "paddock-gateway", std::move(options),
          {.on_packet = [this](Packet &packet) { on_packet(packet); }, .on_down = [this] { up_ = false; }}) {}

void Gateway::cap_requests(std::uint32_t most) {
  if (most == most_requests_) return;
  most_requests_ = most;
  if (up_ && program_.link() != nullptr) program_.link()->send(gateway_link::CapRequests{most});
}

void Gateway::add(std::uint32_t tenant, const std::string &name, BorrowedFd listener, gateway_link::Mode mode,
                  const gateway_link::Refusal &refusal) {
  const std::array fds{listener};
  if (up_ && program_.link() != nullptr)
    program_.link()->send(gateway_link::AddTenant{tenant, name, mode, refusal}, fds);
}

void Gateway::set_mode(std::uint32_t tenant, gateway_link::Mode mode, const gateway_link::Refusal &refusal) {
  if (up_ && program_.link() != nullptr) program_.link()->send(gateway_link::SetMode{tenant, mode, refusal});
}

void Gateway::lease(const gateway_link::Lease &message,
                    const std::array<BorrowedFd, gateway_link::kLeaseFds> &fds) {
  if (up_ && program_.link() != nullptr) program_.link()->send(message, fds);
}

void Gateway::end_lease(std::uint32_t tenant) {
  if (up_ && program_.link() != nullptr) program_.link()->send(gateway_link::EndLease{tenant});
}

void Gateway::remove(std::uint32_t tenant) {
  if (up_ && program_.link() != nullptr) program_.link()->send(gateway_link::RemoveTenant{tenant});
}

void Gateway::on_packet(Packet &packet) {
  switch (packet.type()) {
    case gateway_link::Hello::kType:
      up_ = true;
      if (most_requests_ != 0) program_.link()->send(gateway_link::CapRequests{most_requests_});
      callbacks_.on_up();
      return;
    case gateway_link::Wake::kType:
      if (const auto wake = packet.as<gateway_link::Wake>(); wake) callbacks_.on_wake(wake->tenant);
      return;
    case gateway_link::Refused::kType:
      if (const auto refused = packet.as<gateway_link::Refused>(); refused)
        callbacks_.on_refused(refused->tenant, refused->reason, refused->requests);
      return;
    case gateway_link::Waiting::kType:
      if (const auto waiting = packet.as<gateway_link::Waiting>(); waiting) callbacks_.on_waiting(*waiting);
      return;
    default:
      log::warning("the gateway sent a message of unknown type " + std::to_string(packet.type()));
  }
}

}  // namespace paddock::supervisor
