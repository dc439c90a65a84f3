#include "supervisor/admission_link.h"

#include <fcntl.h>

#include <algorithm>
#include <limits>

#include "protocols/handoff/handoff.h"

namespace paddock::supervisor {
namespace {

// What visitors who were refused are told to wait: a full queue has moved by then, or will not soon.
constexpr std::uint32_t kRetryAfter = 5;  // seconds

}  // namespace

Result<AdmissionLink> AdmissionLink::create(const std::string &tenant, BorrowedFd board) {
  AdmissionLink link;
  link.board_ = UniqueFd(::fcntl(board.get(), F_DUPFD_CLOEXEC, 0));
  if (!link.board_.valid()) return errno_error("duplicate the scoreboard of " + tenant);
  PADDOCK_TRY(link.page_, handoff::create_page(tenant));
  PADDOCK_TRY(link.sandbox_page_, handoff::reopen_read_only(link.page_));
  PADDOCK_TRY(auto ends, MessageSocket::pair());
  // The flag is of the open file description: every worker's.
  PADDOCK_CHECK(ends.second.set_nonblocking(true));
  link.handoff_ = std::move(ends.first).take();
  link.sandbox_handoff_ = std::move(ends.second).take();
  return link;
}

gateway_link::Lease lease_message(std::uint32_t tenant, const policies::Plan &plan,
                                  const policies::Runtime &runtime) {
  gateway_link::Lease lease;
  lease.tenant = tenant;
  lease.workers = plan.workers;
  lease.queue = plan.queue;
  lease.queue_time_ms = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(plan.queue_time.count(), 0, std::numeric_limits<std::uint32_t>::max()));
  lease.retry_after_s = kRetryAfter;
  lease.slow_clients = plan.slow_clients;
  lease.receive_time_ms = static_cast<std::uint32_t>(plan.receive_time.count());
  lease.header_bytes = plan.header_bytes;
  lease.body_bytes = plan.body_bytes;
  lease.spool_bytes = plan.spool_bytes;
  lease.send_time_ms = static_cast<std::uint32_t>(plan.send_time.count());
  lease.unread_bytes = plan.unread_bytes;
  // They are charged to the tenant: its scripts want some memory too.
  if (plan.limits.memory_max)
    lease.unread_bytes = std::min<std::uint64_t>(lease.unread_bytes, *plan.limits.memory_max / 4);
  lease.tell_reason = runtime.reason_header;
  lease.page = runtime.refusal_page;
  return lease;
}

}  // namespace paddock::supervisor
