// The supervisor's view of the gateway: the program that holds every listening socket and wakes the
// supervisor.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "protocols/gateway_link/gateway_link.h"
#include "supervisor/helper_program.h"

namespace paddock::supervisor {

class Gateway {
 public:
  struct Callbacks {
    std::function<void()> on_up;  // it knows no tenant yet: add them all
    std::function<void(std::uint32_t tenant)> on_wake;
    std::function<void(std::uint32_t tenant, const std::string &reason, std::uint64_t requests)> on_refused;
    std::function<void(const gateway_link::Waiting &waiting)> on_waiting;
  };

  Gateway(boost::asio::io_context &io, SpawnOptions options, Callbacks callbacks);

  void start() { program_.start(); }
  void stop() { program_.stop(); }
  // All tenants together may hold so many requests; 0: any number. A gateway that comes up is told again.
  void cap_requests(std::uint32_t most);
  // Each does nothing while the gateway is down: on_up comes when it is back.
  void add(std::uint32_t tenant, const std::string &name, BorrowedFd listener, gateway_link::Mode mode,
           const gateway_link::Refusal &refusal);
  void set_mode(std::uint32_t tenant, gateway_link::Mode mode, const gateway_link::Refusal &refusal);
  // After a mode of kLeased: a sandbox has the lease; fds as gateway_link::LeaseFd.
  void lease(const gateway_link::Lease &message, const std::array<BorrowedFd, gateway_link::kLeaseFds> &fds);
  void end_lease(std::uint32_t tenant);
  void remove(std::uint32_t tenant);

  [[nodiscard]] const HelperProgram &program() const { return program_; }

 private:
  void on_packet(Packet &packet);

  Callbacks callbacks_;
  HelperProgram program_;
  bool up_ = false;
  std::uint32_t most_requests_ = 0;
};

}  // namespace paddock::supervisor
