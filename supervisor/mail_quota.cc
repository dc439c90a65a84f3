#include "supervisor/mail_quota.h"

#include <algorithm>
#include <numeric>

namespace paddock::supervisor {
namespace {

std::int64_t minute_of(MailQuota::Clock::time_point now) {
  return std::chrono::duration_cast<std::chrono::minutes>(now.time_since_epoch()).count();
}

}  // namespace

void MailQuota::forget(std::int64_t minute) {
  if (minute - last_ >= kMinutes) minutes_ = {};
  for (std::int64_t each = std::max(last_ + 1, minute - kMinutes + 1); each <= minute; ++each)
    minutes_[static_cast<std::size_t>(each % kMinutes)] = 0;
  last_ = std::max(last_, minute);
}

std::uint64_t MailQuota::used(Clock::time_point now) {
  forget(minute_of(now));
  return std::accumulate(minutes_.begin(), minutes_.end(), std::uint64_t{0});
}

bool MailQuota::take(std::uint32_t amount, std::uint32_t limit, Clock::time_point now) {
  if (used(now) + amount > limit) return false;
  minutes_[static_cast<std::size_t>(last_ % kMinutes)] += amount;
  return true;
}

void MailQuota::give_back(std::uint32_t amount, Clock::time_point now) {
  forget(minute_of(now));
  auto &minute = minutes_[static_cast<std::size_t>(last_ % kMinutes)];
  minute -= std::min(minute, amount);
}

}  // namespace paddock::supervisor
