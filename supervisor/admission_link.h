// What the gateway and a run's workers share (handoff.h): made with the run, given to both. The supervisor
// keeps the gateway's side, for a gateway that is started anew.
#pragma once

#include <array>
#include <string>

#include "base/message_socket.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "policies/config.h"
#include "protocols/gateway_link/gateway_link.h"

namespace paddock::supervisor {

class AdmissionLink {
 public:
  AdmissionLink() = default;
  // board: the run's scoreboard; duplicated.
  [[nodiscard]] static Result<AdmissionLink> create(const std::string &tenant, BorrowedFd board);

  // Once each: what goes into the sandbox (zygote_link::kPage, kHandoff).
  [[nodiscard]] UniqueFd take_page() { return std::move(sandbox_page_); }
  [[nodiscard]] UniqueFd take_handoff() { return std::move(sandbox_handoff_); }

  // In the order of gateway_link::LeaseFd.
  [[nodiscard]] std::array<BorrowedFd, gateway_link::kLeaseFds> lease_fds() const {
    return {board_, page_, handoff_};
  }
  // No gateway will be given it any more. A worker keeps what it would give away once nobody has this end; as
  // long as we alone had it, that would end with us.
  void leave_handoff() { handoff_.reset(); }

 private:
  UniqueFd board_;
  UniqueFd page_;
  UniqueFd handoff_;
  UniqueFd sandbox_page_;
  UniqueFd sandbox_handoff_;
};

[[nodiscard]] gateway_link::Lease lease_message(std::uint32_t tenant, const policies::Plan &plan,
                                                const policies::Runtime &runtime);

}  // namespace paddock::supervisor
