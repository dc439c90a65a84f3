#include "accounting/counters.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace paddock::accounting {
namespace {

constexpr CounterField kFields[] = {
    {"cpu_user_us", &Counters::cpu_user_us, Source::kKernel},
    {"cpu_system_us", &Counters::cpu_system_us, Source::kKernel},
    {"cpu_periods", &Counters::cpu_periods, Source::kKernel},
    {"cpu_throttled_periods", &Counters::cpu_throttled_periods, Source::kKernel},
    {"cpu_throttled_us", &Counters::cpu_throttled_us, Source::kKernel},
    {"io_read_bytes", &Counters::io_read_bytes, Source::kKernel},
    {"io_written_bytes", &Counters::io_written_bytes, Source::kKernel},
    {"io_reads", &Counters::io_reads, Source::kKernel},
    {"io_writes", &Counters::io_writes, Source::kKernel},
    {"oom_kills", &Counters::oom_kills, Source::kKernel},
    {"memory_high_events", &Counters::memory_high_events, Source::kKernel},
    {"memory_max_events", &Counters::memory_max_events, Source::kKernel},
    {"forks_refused", &Counters::forks_refused, Source::kKernel},
    {"cpu_some_us", &Counters::cpu_some_us, Source::kKernel},
    {"cpu_full_us", &Counters::cpu_full_us, Source::kKernel},
    {"memory_some_us", &Counters::memory_some_us, Source::kKernel},
    {"memory_full_us", &Counters::memory_full_us, Source::kKernel},
    {"io_some_us", &Counters::io_some_us, Source::kKernel},
    {"io_full_us", &Counters::io_full_us, Source::kKernel},
    {"requests", &Counters::requests, Source::kBoard},
    {"request_ns", &Counters::request_ns, Source::kBoard},
    {"bytes_in", &Counters::bytes_in, Source::kBoard},
    {"bytes_out", &Counters::bytes_out, Source::kBoard},
    {"refused", &Counters::refused, Source::kGateway},
    {"late", &Counters::late, Source::kBoard},
    {"queued", &Counters::queued, Source::kGateway},
    {"queue_ns", &Counters::queue_ns, Source::kGateway},
    {"net_in_bytes", &Counters::net_in_bytes, Source::kNetwork},
    {"net_out_bytes", &Counters::net_out_bytes, Source::kNetwork},
    {"mails", &Counters::mails, Source::kSupervisor},
    {"mails_refused", &Counters::mails_refused, Source::kSupervisor},
    {"starts", &Counters::starts, Source::kSupervisor},
    {"crashes", &Counters::crashes, Source::kSupervisor},
    {"active_ms", &Counters::active_ms, Source::kDerived},
    {"memory_kib_s", &Counters::memory_kib_s, Source::kDerived},
    {"anon_kib_s", &Counters::anon_kib_s, Source::kDerived},
    {"file_kib_s", &Counters::file_kib_s, Source::kDerived},
    {"kernel_kib_s", &Counters::kernel_kib_s, Source::kDerived},
    {"shmem_kib_s", &Counters::shmem_kib_s, Source::kDerived},
    {"sock_kib_s", &Counters::sock_kib_s, Source::kDerived},
    {"pids_s", &Counters::pids_s, Source::kDerived},
};
// A counter that is declared and not listed would silently not be kept.
static_assert(std::size(kFields) * sizeof(std::uint64_t) == sizeof(Counters));

constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

}  // namespace

void Usage::add(const Usage &more) {
  for (const CounterField &field : kFields) {
    std::uint64_t &sum = counters.*field.member;
    const std::uint64_t increment = std::min(more.counters.*field.member, kLargest);
    sum = std::min(sum, kLargest);
    sum = sum > kLargest - increment ? kLargest : sum + increment;
  }
  peaks.memory_bytes = std::min(std::max(peaks.memory_bytes, more.peaks.memory_bytes), kLargest);
  peaks.pids = std::min(std::max(peaks.pids, more.peaks.pids), kLargest);
}

std::span<const CounterField> counter_fields() {
  return kFields;
}

}  // namespace paddock::accounting
