#include "php_worker/request_watch.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <string>

#include "base/monotonic.h"
#include "php_worker/connection_sweep.h"
#include "php_worker/vm_interrupt.h"

namespace paddock::php_worker {
namespace {

using scoreboard::State;

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kMillisecond = 1'000'000;
// A script that sleeps is looked at again so often.
constexpr std::uint64_t kWhileAsleep = 100 * kMillisecond;

std::uint64_t nanoseconds(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(time.count()) * kMillisecond;
}

// Whether the process waits in a system call that a signal would cut short for good: sleep() would return too
// early (signal(7): these are never restarted).
bool sleeps(pid_t pid) {
  const UniqueFd file(::open(("/proc/" + std::to_string(pid) + "/syscall").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 32> text{};
  if (!file.valid() || ::read(file.get(), text.data(), text.size() - 1) <= 0) return false;
  char *end = nullptr;
  const long number = std::strtol(text.data(), &end, 10);
  if (end == text.data()) return false;  // "running"
  return number == SYS_nanosleep || number == SYS_clock_nanosleep || number == SYS_select ||
         number == SYS_pselect6;
}

}  // namespace

RequestWatch::RequestWatch(EventLoop &loop, BorrowedFd listen, scoreboard::Board &board, PoolControl &control,
                           WorkerPool &pool, LogRelay &relay, Limits limits)
    : loop_(loop),
      listen_(listen),
      board_(board),
      control_(control),
      pool_(pool),
      relay_(relay),
      deadline_(nanoseconds(limits.deadline)),
      slow_(nanoseconds(limits.slow)) {}

void RequestWatch::start() {
  if (deadline_ == 0 && slow_ == 0) return;
  next_sweep_ = deadline_ == 0 ? kNever : monotonic_ns() + deadline_;
  look();
}

void RequestWatch::look() {
  const std::uint64_t now = monotonic_ns();
  // What begins after this look cannot be due before.
  std::uint64_t next =
      now + std::min(deadline_ == 0 ? kNever - now : deadline_, slow_ == 0 ? kNever - now : slow_);
  for (std::uint32_t slot = 0; slot < watched_.size(); ++slot)
    if (pool_.worker(slot) != nullptr) next = std::min(next, look_at(slot, now));
  if (now >= next_sweep_) {
    end_old_connections(now);
    next_sweep_ = now + deadline_;
  }
  // A millisecond more: the loop's clock has no finer one, and would be early.
  loop_.after(std::chrono::nanoseconds(next - now + kMillisecond), [this] { look(); });
}

std::uint64_t RequestWatch::look_at(std::uint32_t slot, std::uint64_t now) {
  const scoreboard::Slot &entry = board_.slots[slot];
  if (entry.state.load(std::memory_order_acquire) != static_cast<std::uint32_t>(State::kBusy)) return kNever;
  const std::uint64_t told = entry.since_ns.load(std::memory_order_relaxed);
  Watched &watched = watched_[slot];
  if (watched.told != told) watched = {told, told == 0 || told > now ? now : told, Stage::kRunning, false};
  return std::min(mind_slowness(slot, now), mind_deadline(slot, now));
}

std::uint64_t RequestWatch::mind_slowness(std::uint32_t slot, std::uint64_t now) {
  Watched &watched = watched_[slot];
  if (slow_ == 0 || watched.slow || watched.stage != Stage::kRunning) return kNever;
  if (now < watched.start + slow_) return watched.start + slow_;
  const Child &worker = *pool_.worker(slot);
  if (sleeps(worker.pid())) return now + kWhileAsleep;
  watched.slow = true;
  board_.slow.fetch_add(1, std::memory_order_relaxed);
  control_.slow[slot].store(watched.told, std::memory_order_relaxed);
  [[maybe_unused]] const auto gone_already = worker.signal(slow_signal());
  return kNever;
}

std::uint64_t RequestWatch::mind_deadline(std::uint32_t slot, std::uint64_t now) {
  Watched &watched = watched_[slot];
  if (deadline_ == 0 || watched.stage == Stage::kKilled) return kNever;
  const std::uint64_t due = watched.start + deadline_;
  if (now < due) return due;
  const Child &worker = *pool_.worker(slot);
  if (watched.stage == Stage::kRunning) {
    watched.stage = Stage::kAsked;
    board_.late.fetch_add(1, std::memory_order_relaxed);
    note(slot, "is late: asked to stop");
    control_.late[slot].store(watched.told, std::memory_order_relaxed);
    if (slow_ != 0 && !watched.slow) control_.slow[slot].store(watched.told, std::memory_order_relaxed);
    [[maybe_unused]] const auto gone_already = worker.signal(late_signal());
  }
  if (watched.stage == Stage::kAsked) {
    if (now < due + nanoseconds(kCutAfter)) return due + nanoseconds(kCutAfter);
    watched.stage = Stage::kCut;
    note(slot, "does not stop: its connection is ended");
    cut(worker.pid());
  }
  if (now < due + nanoseconds(kKillAfter)) return due + nanoseconds(kKillAfter);
  watched.stage = Stage::kKilled;
  note(slot, "does not stop: its worker is killed");
  pool_.kill_late(slot);
  return kNever;
}

void RequestWatch::cut(pid_t worker) {
  end_opaque(sweep_connections(listen_, [worker](const HeldConnection &held) { return held.pid == worker; }));
}

void RequestWatch::end_old_connections(std::uint64_t now) {
  std::map<std::uint64_t, std::uint64_t> seen;
  sweep_connections(listen_, [&](const HeldConnection &held) {
    const auto known = first_seen_.find(held.inode);
    const std::uint64_t first = known == first_seen_.end() ? now : known->second;
    seen.emplace(held.inode, first);
    // Two deadlines: one that is watched by the scoreboard has had its turn long ago.
    return now - first >= 2 * deadline_;
  });
  first_seen_ = std::move(seen);
}

std::set<pid_t> RequestWatch::workers() const {
  std::set<pid_t> pids;
  for (std::uint32_t slot = 0; slot < watched_.size(); ++slot)
    if (const Child *worker = pool_.worker(slot); worker != nullptr) pids.insert(worker->pid());
  return pids;
}

void RequestWatch::end_orphaned_connections() {
  const std::set<pid_t> alive = workers();
  std::set<std::uint64_t> held_by_workers;
  sweep_connections(listen_, [&](const HeldConnection &held) {
    if (alive.contains(held.pid)) held_by_workers.insert(held.inode);
    return false;
  });
  end_opaque(sweep_connections(listen_, [&](const HeldConnection &held) {
    return !alive.contains(held.pid) && !held_by_workers.contains(held.inode);
  }));
}

// What hides what it holds may hold the connection. Only where all processes are the sandbox's.
void RequestWatch::end_opaque(const std::vector<pid_t> &processes) {
  if (::getpid() != 1) return;
  for (const pid_t pid : processes) {
    relay_.note("process " + std::to_string(pid) + " hides its descriptors from the keeper: killed");
    ::kill(pid, SIGKILL);
  }
}

void RequestWatch::note(std::uint32_t slot, const char *what) {
  const scoreboard::SlotView view = scoreboard::read_slot(board_.slots[slot]);
  relay_.note("worker " + std::to_string(pool_.worker(slot)->pid()) + ": " + view.method + " " + view.uri +
              " " + what);
}

}  // namespace paddock::php_worker
