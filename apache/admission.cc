#include "apache/admission.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <numeric>

#include "apache/refusal_report.h"

namespace paddock::apache {
namespace {

// The first is everybody's sum, the last whoever found no slot of his own.
constexpr std::size_t kSlots = 8192;
constexpr std::size_t kOthers = kSlots - 1;
constexpr const char *kRetained = "paddock_admission";

struct Table {
  std::atomic<pid_t> children[AdmissionSlot::kChildren];  // whose column it is; 0: nobody's
  AdmissionSlot slots[kSlots];
};

Table *table = nullptr;
AdmissionSlot *slots = nullptr;
std::size_t own_child = 0;

// A column that nobody has, or whose child is dead. More children than columns share the last one.
std::size_t claim_column() {
  for (std::size_t i = 0; i + 1 < AdmissionSlot::kChildren; ++i) {
    pid_t owner = table->children[i].load();
    if (owner != 0 && (::kill(owner, 0) == 0 || errno != ESRCH)) continue;
    if (table->children[i].compare_exchange_strong(owner, ::getpid())) return i;
  }
  return AdmissionSlot::kChildren - 1;
}

std::uint32_t sum(const std::atomic<std::uint32_t> (&counts)[AdmissionSlot::kChildren]) {
  std::uint32_t total = 0;
  for (const auto &count : counts) total += count.load(std::memory_order_relaxed);
  return total;
}

AdmissionSlot &slot_of(std::string_view tenant) {
  constexpr std::size_t kRoom = sizeof slots->name - 1;
  const std::string_view name = tenant.substr(0, kRoom);
  std::size_t at = 1 + std::hash<std::string_view>{}(name) % (kOthers - 1);
  for (int tries = 0; tries < 64; ++tries, at = at + 1 == kOthers ? 1 : at + 1) {
    AdmissionSlot &slot = slots[at];
    std::uint32_t state = slot.state.load(std::memory_order_acquire);
    if (state == 0 && slot.state.compare_exchange_strong(state, 1, std::memory_order_acq_rel)) {
      std::memcpy(slot.name, name.data(), name.size());
      slot.state.store(2, std::memory_order_release);
      return slot;
    }
    // Somebody is writing the name this moment.
    while (state == 1) state = slot.state.load(std::memory_order_acquire);
    if (name == slot.name) return slot;
  }
  return slots[kOthers];
}

}  // namespace

bool Admission::prepare(server_rec *) {
  auto *kept = static_cast<Table **>(ap_retained_data_get(kRetained));
  if (kept == nullptr) kept = static_cast<Table **>(ap_retained_data_create(kRetained, sizeof *kept));
  if (*kept == nullptr) {
    // Zeroed by the kernel, and only pages that are used exist.
    void *memory = ::mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    *kept = static_cast<Table *>(memory);
    std::strcpy((*kept)->slots[kOthers].name, "(others)");
    (*kept)->slots[kOthers].state = 2;
  }
  table = *kept;
  slots = table->slots;
  return true;
}

void Admission::start_child(apr_pool_t *pool) {
  own_child = claim_column();
  if (own_child == AdmissionSlot::kChildren - 1) return;
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (i != 0 && slots[i].state.load(std::memory_order_acquire) != 2) continue;
    slots[i].requests[own_child].store(0, std::memory_order_relaxed);
    slots[i].suspended[own_child].store(0, std::memory_order_relaxed);
  }
  apr_pool_cleanup_register(
      pool, nullptr,
      [](void *) {
        table->children[own_child] = 0;
        return APR_SUCCESS;
      },
      apr_pool_cleanup_null);
}

std::vector<Admission::Figures> Admission::figures() {
  std::vector<Figures> all;
  for (std::size_t i = 1; i < kSlots; ++i) {
    const AdmissionSlot &slot = slots[i];
    if (slot.state.load(std::memory_order_acquire) != 2) continue;
    const Figures figures{slot.name, sum(slot.requests), sum(slot.suspended), slot.served, slot.refused};
    if (figures.requests + figures.served + figures.refused > 0) all.push_back(figures);
  }
  return all;
}

bool Place::take(std::string_view tenant, int limit, int tenant_limit) {
  AdmissionSlot &all = slots[0];
  AdmissionSlot &own = slot_of(tenant);
  // Counted first and asked then: two that come at once may both be refused, never both be one too many.
  all.requests[own_child].fetch_add(1, std::memory_order_relaxed);
  own.requests[own_child].fetch_add(1, std::memory_order_relaxed);
  slot_ = &own;
  if ((limit > 0 && sum(all.requests) > static_cast<std::uint32_t>(limit)) ||
      (tenant_limit > 0 && sum(own.requests) > static_cast<std::uint32_t>(tenant_limit)))
    return false;
  own.served.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Place::note_suspended(bool suspended) {
  if (slot_ == nullptr || suspended == suspended_) return;
  suspended_ = suspended;
  if (suspended) {
    slot_->suspended[own_child].fetch_add(1, std::memory_order_relaxed);
  } else {
    slot_->suspended[own_child].fetch_sub(1, std::memory_order_relaxed);
  }
}

void Place::note_refused(const sockaddr_un &gateway, std::string_view tenant,
                         gateway_link::WebServerReason reason) {
  if (slot_ == nullptr) return;
  slot_->refused.fetch_add(1, std::memory_order_relaxed);
  std::atomic<std::uint32_t> &unreported = slot_->unreported[static_cast<std::size_t>(reason)];
  const std::uint32_t requests = unreported.exchange(0, std::memory_order_relaxed) + 1;
  if (!report_refusals(gateway, tenant, reason, requests))
    unreported.fetch_add(requests, std::memory_order_relaxed);
}

Place::~Place() {
  if (slot_ == nullptr) return;
  note_suspended(false);
  slot_->requests[own_child].fetch_sub(1, std::memory_order_relaxed);
  slots[0].requests[own_child].fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace paddock::apache
