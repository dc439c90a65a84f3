#include "php_worker/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <ctime>
#include <deque>
#include <optional>
#include <utility>

#include "base/event_loop.h"
#include "base/monotonic.h"
#include "php_worker/log_relay.h"
#include "php_worker/pool_control.h"
#include "php_worker/pool_view.h"
#include "php_worker/programs/shared_program.h"
#include "php_worker/request_watch.h"
#include "php_worker/sapi.h"
#include "php_worker/title.h"
#include "php_worker/worker_pool.h"
#include "protocols/handoff/handoff.h"
#include "protocols/keeper_link/keeper_link.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {
namespace {

using namespace std::chrono_literals;
using Clock = EventLoop::Clock;

// A worker is added when so many looks in a row, so far apart, found everybody busy and a connection waiting,
// and no worker had to wait for a request between them: requests that follow each other keep one worker busy
// most of the time, and need no second, which would only cost memory and the CPU's caches.
constexpr auto kGrowthLook = 1ms;
constexpr int kGrowthLooks = 5;
// Until the keeper wants to hear of the last free place again: after a new worker, and after a false alarm.
constexpr auto kAfterGrowth = 5ms;
constexpr auto kAfterFalseAlarm = 50ms;
// A worker too many is retired when so many looks in a row found somebody idle, or that since the last look
// one request in so many had been waited for: at the moment of a look a crowd of short requests has everybody
// busy who is there.
constexpr auto kSurplusLook = 1s;
constexpr int kSurplusLooks = 5;
constexpr std::uint64_t kAwaitedShare = 4;
// What the gateway has handed over goes back to it where so many looks in a row, kWakeEvery apart, found it
// there, nobody free and no request ended.
constexpr int kUntakenLooks = 20;
// Signals to ending workers are repeated (WorkerPool::wake_ending()).
constexpr auto kWakeEvery = 5ms;
constexpr auto kPatienceWithoutDrain = 10s;
// Workers that die young: the first is replaced at once, then ever later.
constexpr auto kYoung = 1s;
constexpr auto kFirstBackOff = 50ms;
constexpr auto kLongestBackOff = 5s;
constexpr auto kForgetDeaths = 10s;

class Keeper {
 public:
  Keeper(KeeperOptions &options, EventLoop &loop, scoreboard::Board *board, PoolControl *control,
         const handoff::Page &page, UniqueFd growth, UniqueFd signals)
      : options_(options),
        loop_(loop),
        board_(board),
        control_(control),
        page_(page),
        growth_(std::move(growth)),
        signals_(std::move(signals)),
        relay_(loop, std::move(options.log), options.log_bytes),
        access_relay_(loop, std::move(options.access_log), options.log_bytes, LogRelay::Style::kBare),
        pool_({options.name,
               options.listen,
               growth_,
               options.handoff.fd(),
               &page,
               board,
               control,
               options.php_fds,
               options.program,
               options.access,
               {},
               options.gate,
               options.settle}),
        shared_(loop, relay_,
                options.program.listen.empty() ? std::vector<std::string>() : options.program.command),
        watch_(loop, options.listen, *board, *control, pool_, relay_,
               {std::chrono::milliseconds(options.deadline_ms), std::chrono::milliseconds(options.slow_ms)}) {
  }

  int run() {
    control_->workers_max.store(options_.workers_max, std::memory_order_relaxed);
    control_->requests_per_worker.store(options_.requests_per_worker, std::memory_order_relaxed);
    if (const auto watched = watch_all(); !watched) {
      fail(watched.error());
      return 1;
    }
    if (options_.gate != nullptr) {
      if (!start_worker()) return 1;
      if (!options_.gate->open()) return 1;
      view_us_ = static_cast<std::uint32_t>((monotonic_ns() - options_.cloned_ns) / 1000);
    }
    for (const std::string &name : options_.settle()) relay_.note("PHP refuses the plan's ini entry " + name);
    pool_.settled();
    shared_.start();
    while (pool_.serving() < options_.workers_start && start_worker()) {
    }
    if (pool_.empty()) return 1;  // fail() has told
    tell_ready();
    want_growth_after(0ms);
    expect_idleness(std::chrono::milliseconds(options_.idle_ms));
    watch_.start();
    if (const auto ran = loop_.run(); !ran) {
      relay_.note(ran.error().message());
      pool_.kill_all();
      return 1;
    }
    return broken_off_ && options_.cloned_ns != 0 ? keeper_link::kBrokenOff : 0;
  }

 private:
  Result<void> watch_all() {
    PADDOCK_CHECK(loop_.watch(growth_, EPOLLIN, [this](std::uint32_t) { growth_event(); }));
    PADDOCK_CHECK(open_access_log());
    PADDOCK_CHECK(loop_.watch(signals_, EPOLLIN, [this](std::uint32_t) { signal_event(); }));
    // Edges: the messages are for workers, who read them.
    if (options_.handoff.valid())
      PADDOCK_CHECK(loop_.watch(options_.handoff.fd(), EPOLLIN | EPOLLET,
                                [this](std::uint32_t) { look_after_handed(0ms); }));
    if (!options_.link.valid()) return {};
    PADDOCK_CHECK(options_.link.set_nonblocking(true));
    return loop_.watch(options_.link.fd(), EPOLLIN, [this](std::uint32_t) { link_event(); });
  }

  // One pipe for all workers, whose lines are shorter than PIPE_BUF and do not mix (pipe(7)).
  Result<void> open_access_log() {
    if (options_.access.format.empty()) return {};
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("make the access log's pipe");
    UniqueFd reading(ends[0]);
    access_end_.reset(ends[1]);
    pool_.use_access_log(access_end_);
    return access_relay_.add(std::move(reading), 0);
  }

  void fail(const Error &error) {
    relay_.note(error.message());
    if (options_.link.valid()) [[maybe_unused]]
      const auto sent = options_.link.send(keeper_link::Failed{error.attempt, error.code});
  }

  template <typename Message>
  void tell(const Message &message) {
    if (!options_.link.valid()) return;
    // A supervisor that is away or slow is no reason to stop serving: its end of the link tells when it is
    // gone.
    [[maybe_unused]] const auto sent = options_.link.send(message);
  }

  void tell_ready() {
    if (options_.cloned_ns == 0) return;
    keeper_link::Ready ready;
    ready.view_us = view_us_;
    ready.total_us = static_cast<std::uint32_t>((monotonic_ns() - options_.cloned_ns) / 1000);
    tell(ready);
  }

  bool start_worker() {
    auto started = pool_.start();
    if (!started) {
      relay_.note(started.error().message());
      if (pool_.empty()) fail(started.error());
      return false;
    }
    if (const auto added = relay_.add(std::move(started->errors), started->pid); !added)
      relay_.note(added.error().message());
    if (pool_.serving() > options_.workers_start && !looking_for_surplus_) look_for_surplus();
    return true;
  }

  // Growing: a worker that takes the last free place says so by the eventfd (when asked to); only while
  // everybody is busy does the keeper watch the listening socket; a connection that still waits after the
  // grace gets a new worker.
  void growth_event() {
    std::uint64_t ignored = 0;
    [[maybe_unused]] const ssize_t got = ::read(growth_.get(), &ignored, sizeof ignored);
    consider_growth();
  }

  [[nodiscard]] bool may_grow() const { return !draining_ && pool_.serving() < options_.workers_max; }
  [[nodiscard]] bool all_busy() const { return pool_.busy() >= pool_.serving(); }

  // In the backlog, or in the gateway, which has emptied it: a worker that died while all were busy has left
  // its place free, and those who wait there would wait for the others to end.
  [[nodiscard]] bool somebody_waits() const {
    if (page_.takeover.load(std::memory_order_relaxed) != 0) return true;
    pollfd entries[] = {{options_.listen.get(), POLLIN, 0}, {options_.handoff.fd().get(), POLLIN, 0}};
    return ::poll(entries, 2, 0) > 0 && ((entries[0].revents | entries[1].revents) & POLLIN) != 0;
  }

  void consider_growth() {
    if (!may_grow() || watching_listen_ || growth_timer_) return;
    if (!all_busy()) return want_growth_after(kAfterFalseAlarm);
    if (somebody_waits()) return look_for_pressure(1);
    const auto watched = loop_.watch(options_.listen, EPOLLIN, [this](std::uint32_t) {
      loop_.unwatch(options_.listen);
      watching_listen_ = false;
      look_for_pressure(1);
    });
    watching_listen_ = watched.ok();
    if (!watched) relay_.note(watched.error().message());
  }

  void look_for_pressure(int look) {
    const std::uint32_t gaps = control_->idle_gaps.load(std::memory_order_relaxed);
    growth_timer_ = loop_.after(kGrowthLook, [this, look, gaps] {
      growth_timer_.reset();
      if (!may_grow()) return;
      if (!somebody_waits() || !all_busy() || control_->idle_gaps.load(std::memory_order_relaxed) != gaps)
        return want_growth_after(kAfterFalseAlarm);
      if (look < kGrowthLooks) return look_for_pressure(look + 1);
      const bool grown = Clock::now() >= not_before_ && start_worker();
      want_growth_after(grown ? kAfterGrowth : kAfterFalseAlarm);
    });
  }

  // The gateway has sent a connection. A free worker looks for it before it accepts; where all of the free
  // ones are in accept4(2) already, one is woken, again and again, since a signal between its look and its
  // accept4(2) does nothing.
  void look_after_handed(Clock::duration pause) {
    if (handed_timer_) return;
    if (pause == Clock::duration::zero() && page_.takeover.load(std::memory_order_relaxed) != 0)
      pause = kWakeEvery;  // free workers wait for it, not for us
    handed_timer_ = loop_.after(pause, [this] {
      handed_timer_.reset();
      // The page tells of a message after it was sent: it may not yet.
      pollfd entry{options_.handoff.fd().get(), POLLIN, 0};
      if (::poll(&entry, 1, 0) <= 0) {
        untaken_looks_ = 0;
        return;
      }
      control_->handed_seen.store(page_.handed.load(std::memory_order_relaxed) - 1,
                                  std::memory_order_relaxed);
      if (pool_.wake_one_idle()) {
        untaken_looks_ = 0;
      } else {
        if (may_grow() && !growth_timer_) look_for_pressure(1);
        look_at_untaken();
      }
      look_after_handed(kWakeEvery);
    });
  }

  // It was meant for a worker that had taken another connection from the backlog meanwhile. All of them may
  // be busy for as long as their deadlines allow; in the gateway it waits as long as the plan allows.
  void look_at_untaken() {
    const std::uint64_t ended = board_->requests.load(std::memory_order_relaxed);
    if (std::exchange(ended_seen_, ended) != ended) untaken_looks_ = 0;
    if (++untaken_looks_ < kUntakenLooks || !options_.handoff.next_has_one_fd()) return;
    untaken_looks_ = 0;
    const auto packet = options_.handoff.receive();
    if (!packet || !packet->has_value()) return;  // a worker was quicker
    const auto message = (*packet)->as<handoff::Connection>();
    if (!message || (*packet)->fds.size() != 1) return;
    const std::array<BorrowedFd, 1> connection = {(*packet)->fds.front()};
    // Where the gateway has no ear for it either, it is closed, and the web server says so.
    [[maybe_unused]] const auto sent = options_.handoff.send(handoff::Slow{message->received}, connection);
  }

  void want_growth_after(Clock::duration pause) {
    if (!may_grow() || growth_timer_) return;
    growth_timer_ = loop_.after(pause, [this] {
      growth_timer_.reset();
      control_->growth_wanted.store(1, std::memory_order_relaxed);
      // Whoever took the last place before this store has not said so.
      if (all_busy()) consider_growth();
    });
  }

  void look_for_surplus() {
    looking_for_surplus_ = true;
    loop_.after(kSurplusLook, [this] {
      looking_for_surplus_ = false;
      if (draining_ || pool_.serving() <= options_.workers_start) {
        idle_looks_ = 0;
        return;
      }
      idle_looks_ = all_busy() && !requests_are_awaited() ? 0 : idle_looks_ + 1;
      if (idle_looks_ >= kSurplusLooks && pool_.retire_one()) {
        idle_looks_ = kSurplusLooks - 1;
        wake_ending();
        want_growth_after(kAfterFalseAlarm);
      }
      look_for_surplus();
    });
  }

  // Since the last call. Not where the gateway has stepped in: then they wait, and a worker has to ask for
  // each.
  bool requests_are_awaited() {
    const std::uint64_t takeovers = page_.takeovers.load(std::memory_order_relaxed);
    const bool stepped_in = std::exchange(takeovers_seen_, takeovers) != takeovers ||
                            page_.takeover.load(std::memory_order_relaxed) != 0;
    const std::uint64_t gaps = control_->idle_gaps.load(std::memory_order_relaxed);
    const std::uint64_t requests = board_->requests.load(std::memory_order_relaxed);
    const auto new_gaps = static_cast<std::uint32_t>(gaps - std::exchange(gaps_seen_, gaps));
    const std::uint64_t new_requests = requests - std::exchange(requests_seen_, requests);
    return !stepped_in && new_gaps * kAwaitedShare > new_requests;
  }

  void wake_ending() {
    if (waking_) return;
    if (!pool_.somebody_is_ending() && !draining_) return;
    pool_.wake_ending();
    waking_ = true;
    loop_.after(kWakeEvery, [this] {
      waking_ = false;
      wake_ending();
    });
  }

  void signal_event() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info)
      if (info.ssi_signo != SIGCHLD) drain(draining_ ? 0ms : kPatienceWithoutDrain);
    while (const auto ended = pool_.reap())
      if (ended->worker) {
        worker_ended(*ended);
      } else {
        shared_.ended(ended->pid, ended->status);
      }
    if (draining_) end_when_empty();
  }

  // What the gateway handed over before it heard of the end may have been seen by no worker: one more takes
  // what is there, and ends.
  void end_when_empty() {
    if (!pool_.empty()) return;
    char first = 0;
    const bool unseen = ::recv(options_.handoff.fd().get(), &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    if (unseen && !out_of_patience_ && start_worker()) return;
    if (shared_.running() && !out_of_patience_) return shared_.end();
    loop_.stop();
  }

  void worker_ended(const WorkerPool::Ended &ended) {
    relay_.worker_ended(ended.pid);
    broken_off_ = broken_off_ || ended.status.signaled || !ended.expected;
    if (ended.in_request) watch_.end_orphaned_connections();
    if (draining_) return;
    Clock::duration delay{};
    if (!ended.expected) {
      relay_.note("worker " + std::to_string(ended.pid) + " died: " + ended.status.to_string());
      tell(keeper_link::WorkerDied{ended.status.signaled, static_cast<std::uint8_t>(ended.status.code)});
      delay = back_off(ended.lived);
      if (is_emergency(ended.status)) return replace_sandbox();
    }
    if (pool_.serving() < options_.workers_start) {
      replace_after(delay);
    } else {
      not_before_ = std::max(not_before_, Clock::now() + delay);
      want_growth_after(kAfterGrowth);
    }
  }

  // Crashes in a row are often the opcode cache's, which all workers share and no worker's end mends
  // (PHP-FPM's emergency_restart_threshold).
  bool is_emergency(const ExitStatus &status) {
    if (options_.emergency_deaths == 0 || !status.signaled ||
        (status.code != SIGSEGV && status.code != SIGBUS))
      return false;
    const auto now = Clock::now();
    crashes_.push_back(now);
    while (now - crashes_.front() > std::chrono::milliseconds(options_.emergency_ms)) crashes_.pop_front();
    return crashes_.size() >= options_.emergency_deaths;
  }

  // The supervisor sees the end of the link, and starts another sandbox when somebody wants one.
  void replace_sandbox() {
    relay_.note(std::to_string(crashes_.size()) +
                " workers have crashed in a short time: the sandbox is replaced");
    crashes_.clear();
    tell(keeper_link::Idle{board_->requests.load(std::memory_order_relaxed)});
    // Unless the supervisor has a reason to leave it.
    replace_after(options_.link.valid() ? kLongestBackOff : Clock::duration{});
  }

  Clock::duration back_off(Clock::duration lived) {
    const auto now = Clock::now();
    if (now - last_young_death_ > kForgetDeaths) young_deaths_ = 0;
    if (lived >= kYoung) return {};
    last_young_death_ = now;
    const int doublings = std::min(young_deaths_++ - 1, 8);
    if (doublings < 0) return {};
    return std::min<Clock::duration>(kFirstBackOff * (1 << doublings), kLongestBackOff);
  }

  void replace_after(Clock::duration delay) {
    if (delay > Clock::duration::zero()) {
      relay_.note("the next worker is started in " +
                  std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(delay).count()) +
                  " ms");
    }
    if (delay > Clock::duration::zero()) control_->raise_alarm(page_, options_.handoff);
    loop_.after(delay, [this] {
      if (draining_ || pool_.serving() >= options_.workers_start) return;
      if (!start_worker()) replace_after(kLongestBackOff);
    });
  }

  void link_event() {
    for (;;) {
      auto received = options_.link.receive();
      if (!received) {
        if (received.error().code == EAGAIN) return;
        relay_.note(received.error().message());
        return end_of_link();
      }
      if (!*received) return end_of_link();
      take(**received);
    }
  }

  void end_of_link() {
    loop_.unwatch(options_.link.fd());
    options_.link.close();
    drain(kPatienceWithoutDrain);
  }

  void take(const Packet &packet) {
    if (packet.type() == keeper_link::Drain::kType) {
      if (const auto message = packet.as<keeper_link::Drain>(); message)
        return drain(std::chrono::milliseconds(message->patience_ms));
    } else if (packet.type() == keeper_link::SetLimits::kType) {
      if (const auto message = packet.as<keeper_link::SetLimits>(); message) return set_limits(*message);
    }
    relay_.note("a message of the supervisor that this keeper does not understand");
  }

  void set_limits(const keeper_link::SetLimits &limits) {
    options_.workers_max = std::clamp<std::uint16_t>(limits.workers_max, 1, scoreboard::kMaxWorkers);
    control_->workers_max.store(options_.workers_max, std::memory_order_relaxed);
    control_->requests_per_worker.store(limits.requests_per_worker, std::memory_order_relaxed);
    while (pool_.serving() > options_.workers_max && pool_.retire_one()) {
    }
    wake_ending();
    want_growth_after(0ms);
    if (options_.idle_ms != limits.idle_ms) {
      options_.idle_ms = limits.idle_ms;
      if (idle_timer_) loop_.cancel(*idle_timer_);
      expect_idleness(std::chrono::milliseconds(options_.idle_ms));
    }
  }

  void expect_idleness(Clock::duration after) {
    if (options_.idle_ms == 0) return;
    idle_timer_ = loop_.after(after, [this] { look_for_idleness(); });
  }

  void look_for_idleness() {
    const auto wanted = std::chrono::milliseconds(options_.idle_ms);
    const std::uint64_t last = board_->last_end_ns.load(std::memory_order_relaxed);
    const std::uint64_t now = monotonic_ns();
    if (pool_.busy() > 0) return expect_idleness(wanted);
    const std::chrono::nanoseconds quiet(last == 0 || last > now ? wanted.count() * 1'000'000
                                                                 : static_cast<std::int64_t>(now - last));
    if (quiet < wanted) return expect_idleness(wanted - quiet);
    keeper_link::Idle idle;
    idle.requests = board_->requests.load(std::memory_order_relaxed);
    tell(idle);
    expect_idleness(wanted);
  }

  void drain(Clock::duration patience) {
    if (!draining_) {
      draining_ = true;
      control_->draining.store(1, std::memory_order_relaxed);
      if (watching_listen_) loop_.unwatch(options_.listen);
      wake_ending();
    }
    if (kill_timer_) loop_.cancel(*kill_timer_);
    kill_timer_ = loop_.after(patience, [this] {
      relay_.note("requests did not end in time: their workers are killed");
      out_of_patience_ = true;
      pool_.kill_all();
      shared_.kill();
      end_when_empty();
    });
    end_when_empty();
  }

  KeeperOptions &options_;
  EventLoop &loop_;
  scoreboard::Board *board_;
  PoolControl *control_;
  const handoff::Page &page_;
  UniqueFd growth_;
  UniqueFd signals_;
  LogRelay relay_;
  LogRelay access_relay_;
  UniqueFd access_end_;  // what workers write to
  std::deque<Clock::time_point> crashes_;
  WorkerPool pool_;
  programs::SharedProgram shared_;
  RequestWatch watch_;

  std::optional<EventLoop::TimerId> handed_timer_;
  std::uint32_t view_us_ = 0;  // from the clone to the finished view
  bool draining_ = false;
  bool broken_off_ = false;       // a worker may have been writing to what all of them share
  bool out_of_patience_ = false;  // draining, and those who had time to end were killed
  bool watching_listen_ = false;
  bool waking_ = false;
  bool looking_for_surplus_ = false;
  int idle_looks_ = 0;
  int untaken_looks_ = 0;
  std::uint64_t ended_seen_ = 0;
  std::uint64_t takeovers_seen_ = 0;
  std::uint64_t gaps_seen_ = 0;
  std::uint64_t requests_seen_ = 0;
  int young_deaths_ = 0;
  Clock::time_point last_young_death_;
  Clock::time_point not_before_;
  std::optional<EventLoop::TimerId> growth_timer_;
  std::optional<EventLoop::TimerId> idle_timer_;
  std::optional<EventLoop::TimerId> kill_timer_;
};

// Blocks the signals and returns what they are read from.
Result<UniqueFd> take_signals(bool all) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  if (all)
    for (const int number : {SIGTERM, SIGINT, SIGQUIT}) sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return errno_error("block signals");
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return errno_error("signalfd");
  return fd;
}

Result<int> keep(KeeperOptions &options) {
  set_title("paddock: keeper ", options.name);
  PADDOCK_TRY(UniqueFd signals, take_signals(options.take_signals));
  PADDOCK_TRY(scoreboard::MappedBoard board, scoreboard::MappedBoard::map(options.board, true));
  options.board.reset();
  // Without a gateway nobody takes over: a page that nobody writes.
  static const handoff::Page no_gateway{};
  handoff::MappedPage page;
  if (options.page.valid()) {
    PADDOCK_TRY(page, handoff::MappedPage::map(options.page, false));
    options.page.reset();
  }
  PADDOCK_TRY(PoolControl *const control, PoolControl::create());
  PADDOCK_TRY(EventLoop loop, EventLoop::create());
  UniqueFd growth(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!growth.valid()) return errno_error("eventfd");
  set_pool_view({options.name, monotonic_ns(), board.get(), page.valid() ? page.get() : &no_gateway});
  Keeper keeper(options, loop, board.get(), control, page.valid() ? *page.get() : no_gateway,
                std::move(growth), std::move(signals));
  return keeper.run();
}

}  // namespace

int run_keeper(KeeperOptions options) {
  const auto status = keep(options);
  if (status) return *status;
  if (options.link.valid()) [[maybe_unused]]
    const auto sent = options.link.send(keeper_link::Failed{status.error().attempt, status.error().code});
  if (options.log.valid()) {
    const std::string line = "keeper: " + status.error().message() + "\n";
    [[maybe_unused]] const ssize_t written = ::write(options.log.get(), line.data(), line.size());
  }
  return 1;
}

}  // namespace paddock::php_worker
