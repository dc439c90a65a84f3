#include "fcgi_gateway/machine_cap.h"

#include <algorithm>
#include <vector>

namespace paddock::fcgi_gateway {
namespace {

using namespace std::chrono_literals;

// Between two looks. A tenant that grows meanwhile is bounded by its plan.
constexpr auto kFar = 100ms;
constexpr auto kNear = 25ms;

}  // namespace

std::uint32_t fair_share(std::span<const std::uint32_t> held, std::uint32_t most) {
  std::vector<std::uint32_t> rising(held.begin(), held.end());
  std::sort(rising.begin(), rising.end());
  std::uint64_t left = most;
  for (std::size_t i = 0; i < rising.size(); ++i) {
    const std::uint64_t sharing = rising.size() - i;
    if (rising[i] * sharing > left)
      return static_cast<std::uint32_t>(std::max<std::uint64_t>(left / sharing, 1));
    left -= rising[i];
  }
  return CapMember::kNoShare;
}

void MachineCap::set_most(std::uint32_t most) {
  most_ = most;
  if (most_ == 0) {
    loop_.cancel(timer_);
    timer_ = 0;
    return give(CapMember::kNoShare);
  }
  if (!members_.empty()) look();
}

void MachineCap::add(CapMember &member) {
  if (!members_.insert(&member).second) return;
  if (share_ != CapMember::kNoShare) member.set_share(share_);
  if (most_ != 0 && timer_ == 0) look_after(kFar);
}

void MachineCap::remove(CapMember &member) {
  if (members_.erase(&member) != 0 && share_ != CapMember::kNoShare) member.set_share(CapMember::kNoShare);
}

void MachineCap::look() {
  std::vector<std::uint32_t> held;
  held.reserve(members_.size());
  std::uint64_t total = 0;
  for (const CapMember *member : members_) total += held.emplace_back(member->held());
  if (total >= most_) {
    // Exactly as many: nobody is cut, and who holds most takes nothing more.
    const std::uint32_t share = fair_share(held, most_);
    give(share != CapMember::kNoShare ? share : std::max(*std::max_element(held.begin(), held.end()), 1U));
  } else if (total <= most_ - most_ / 8) {
    give(CapMember::kNoShare);
  }
  if (!members_.empty()) look_after(total >= most_ / 2 ? kNear : kFar);
}

void MachineCap::look_after(EventLoop::Clock::duration delay) {
  loop_.cancel(timer_);
  timer_ = loop_.after(delay, [this] {
    timer_ = 0;
    look();
  });
}

void MachineCap::give(std::uint32_t share) {
  if (share == CapMember::kNoShare && share_ == CapMember::kNoShare) return;
  share_ = share;
  for (CapMember *member : members_) member->set_share(share);
}

}  // namespace paddock::fcgi_gateway
