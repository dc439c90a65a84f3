#include "php_worker/worker_pool.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "php_worker/worker.h"
#include "sandbox/privileges.h"

namespace paddock::php_worker {
namespace {

using scoreboard::State;

}  // namespace

void WorkerPool::count(std::uint32_t serving) {
  serving_ = serving;
  setup_.board->workers.store(serving, std::memory_order_relaxed);
}

void WorkerPool::become_worker(std::uint32_t slot, int errors) const {
  if (::dup2(errors, STDOUT_FILENO) < 0 || ::dup2(errors, STDERR_FILENO) < 0) ::_exit(126);
  std::vector<int> kept = setup_.php_fds;
  kept.push_back(setup_.listen.get());
  kept.push_back(setup_.growth.get());
  kept.push_back(setup_.handoff.get());
  kept.push_back(setup_.access_log.get());
  const bool early = !settled_ && setup_.gate != nullptr;
  if (early) kept.push_back(setup_.gate->fd());
  std::erase_if(kept, [](int fd) { return fd <= STDERR_FILENO; });  // some are none
  std::sort(kept.begin(), kept.end());
  [[maybe_unused]] const int code = sandbox::close_all_but(kept.data(), static_cast<unsigned>(kept.size()));
  if (early && !setup_.gate->await()) ::_exit(126);
  if (!settled_) [[maybe_unused]]
    const auto told_by_the_keeper = setup_.settle();
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0) ::_exit(126);
  ::close(null);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(022);
  // So that the keeper can look for late connections (connection_sweep.h). Processes of the same sandbox can
  // then trace a worker: they are its tenant's, as it is.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  const WorkerContext context{setup_.name,     slot,           setup_.listen,    setup_.growth,
                              setup_.handoff,  setup_.page,    setup_.board,     setup_.control,
                              &setup_.program, &setup_.access, setup_.access_log};
  // No exit handlers: what they would tidy up is the zygote's.
  ::_exit(run_worker(context));
}

Result<WorkerPool::Started> WorkerPool::start() {
  const auto free =
      std::find_if(workers_.begin(), workers_.end(), [](const Worker &w) { return !w.child.valid(); });
  if (free == workers_.end()) return Error{"start a worker: every slot is taken"};
  const auto slot = static_cast<std::uint32_t>(free - workers_.begin());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("make a worker's pipe");
  UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  setup_.control->quit[slot].store(0, std::memory_order_relaxed);
  setup_.board->slots[slot].asks.store(0, std::memory_order_relaxed);
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork a worker");
  if (pid == 0) become_worker(slot, writing.get());
  // Ours and not yet reaped: the number cannot be anybody else's.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    const Error failure = errno_error("open a worker's pidfd");
    ::kill(pid, SIGKILL);
    return failure;
  }
  free->child = Child(pid, std::move(pidfd));
  free->started = Clock::now();
  free->ending = false;
  free->late = false;
  ++alive_;
  count(serving_ + 1);
  return Started{pid, std::move(reading)};
}

bool WorkerPool::retire_one() {
  for (std::size_t i = workers_.size(); i-- > 0;) {
    Worker &worker = workers_[i];
    if (!worker.child.valid() || worker.ending) continue;
    if (setup_.board->slots[i].state.load(std::memory_order_relaxed) !=
        static_cast<std::uint32_t>(State::kIdle))
      continue;
    worker.ending = true;
    setup_.control->quit[i].store(1, std::memory_order_relaxed);
    count(serving_ - 1);
    return true;
  }
  return false;
}

void WorkerPool::wake_ending() const {
  const bool draining = setup_.control->draining.load(std::memory_order_relaxed) != 0;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Worker &worker = workers_[i];
    if (!worker.child.valid() || (!worker.ending && !draining)) continue;
    if (setup_.board->slots[i].state.load(std::memory_order_relaxed) ==
        static_cast<std::uint32_t>(State::kBusy))
      continue;
    [[maybe_unused]] const auto gone_already = worker.child.signal(SIGQUIT);
  }
}

bool WorkerPool::wake_one_idle() const {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (!workers_[i].child.valid()) continue;
    if (setup_.board->slots[i].state.load(std::memory_order_relaxed) !=
        static_cast<std::uint32_t>(State::kIdle))
      continue;
    if (workers_[i].child.signal(SIGQUIT)) return true;
  }
  return false;
}

void WorkerPool::kill_all() const {
  for (const Worker &worker : workers_)
    if (worker.child.valid()) [[maybe_unused]]
      const auto gone_already = worker.child.signal(SIGKILL);
}

void WorkerPool::kill_late(std::uint32_t slot) {
  workers_[slot].late = true;
  [[maybe_unused]] const auto gone_already = workers_[slot].child.signal(SIGKILL);
}

std::optional<WorkerPool::Ended> WorkerPool::reap() {
  siginfo_t info{};
  if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) != 0 || info.si_pid == 0) return std::nullopt;
  Ended ended;
  ended.pid = info.si_pid;
  ended.status = {info.si_code != CLD_EXITED, info.si_status};
  const auto found = std::find_if(workers_.begin(), workers_.end(), [&](const Worker &w) {
    return w.child.valid() && w.child.pid() == info.si_pid;
  });
  if (found == workers_.end()) return ended;
  ended.worker = true;
  const auto slot = static_cast<std::size_t>(found - workers_.begin());
  setup_.board->slots[slot].asks.store(0, std::memory_order_relaxed);
  scoreboard::Slot &entry = setup_.board->slots[slot];
  if (entry.state.exchange(static_cast<std::uint32_t>(State::kEmpty)) ==
      static_cast<std::uint32_t>(State::kBusy)) {
    // Died in a request, which nobody will count down.
    ended.in_request = true;
    if (busy() > 0) setup_.board->busy.fetch_sub(1, std::memory_order_relaxed);
  }
  ended.lived = Clock::now() - found->started;
  const std::uint32_t limit = setup_.control->requests_per_worker.load(std::memory_order_relaxed);
  const bool served_its_number = limit != 0 && entry.requests.load(std::memory_order_relaxed) >= limit;
  ended.expected = found->ending || found->late ||
                   setup_.control->draining.load(std::memory_order_relaxed) != 0 ||
                   (ended.status.success() && served_its_number);
  if (!found->ending) count(serving_ - 1);
  *found = Worker();
  --alive_;
  return ended;
}

}  // namespace paddock::php_worker
