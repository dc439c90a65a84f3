// Every message that one of our programs reads from another, decoded from arbitrary bytes. What decodes must
// encode to the same bytes again: a decoder that accepts two spellings of one message would let a check be
// passed by.
#include <algorithm>
#include <cstdlib>
#include <span>

#include "base/wire.h"
#include "protocols/gateway_link/gateway_link.h"
#include "protocols/handoff/handoff.h"
#include "protocols/keeper_link/keeper_link.h"
#include "protocols/mail/mail_link.h"
#include "protocols/mail/submission.h"
#include "protocols/zygote_link/zygote_link.h"

namespace {

template <typename Message>
void check(std::span<const std::uint8_t> packet) {
  const auto message = paddock::wire::decode<Message>(packet);
  if (!message) return;
  const auto again = paddock::wire::encode(*message);
  if (again.size() != packet.size() || !std::equal(again.begin(), again.end(), packet.begin())) std::abort();
}

template <typename... Messages>
void check_all(std::span<const std::uint8_t> packet) {
  (check<Messages>(packet), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::span packet(data, size);
  check_all<paddock::gateway_link::AddTenant, paddock::gateway_link::SetMode,
            paddock::gateway_link::RemoveTenant, paddock::gateway_link::Hello, paddock::gateway_link::Wake,
            paddock::gateway_link::Refused, paddock::gateway_link::Waiting, paddock::gateway_link::Lease,
            paddock::gateway_link::EndLease, paddock::gateway_link::CapRequests>(packet);
  check_all<paddock::handoff::Ready, paddock::handoff::Connection, paddock::handoff::Resume,
            paddock::handoff::Full, paddock::handoff::Slow, paddock::handoff::Unread,
            paddock::handoff::Refused>(packet);
  check_all<paddock::keeper_link::Drain, paddock::keeper_link::SetLimits, paddock::keeper_link::Ready,
            paddock::keeper_link::Failed, paddock::keeper_link::Idle, paddock::keeper_link::WorkerDied>(
      packet);
  check_all<paddock::zygote_link::Spawn, paddock::zygote_link::Hello, paddock::zygote_link::Spawned,
            paddock::zygote_link::SpawnFailed>(packet);
  check_all<paddock::mail::Begin, paddock::mail::Part, paddock::mail::End, paddock::mail::Answer,
            paddock::mail_link::OpenTenant, paddock::mail_link::CloseTenant, paddock::mail_link::Delivered,
            paddock::mail_link::Hello, paddock::mail_link::Deliver, paddock::mail_link::Refused>(packet);
  return 0;
}
