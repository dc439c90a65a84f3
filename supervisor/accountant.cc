#include "supervisor/accountant.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "supervisor/figures.h"
#include "supervisor/snapshot.h"

namespace paddock::supervisor {
namespace {

using accounting::EventKind;
using std::chrono::milliseconds;

constexpr auto kPruneInterval = std::chrono::minutes(1);
// Over less time than this, a rate says nothing. From this share of io.max on, it was the limit that held.
constexpr std::chrono::duration<double> kLeastIoSpan{0.5};
constexpr double kIoShare = 0.9;
constexpr auto kFresh = std::chrono::milliseconds(400);

accounting::Time wall_clock() {
  return std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
}

void report(const Result<void> &result) {
  if (!result) log::error("history: " + result.error().message());
}

accounting::RequestFigures request_figures_of(const scoreboard::Board &board) {
  accounting::RequestFigures figures;
  static_assert(scoreboard::kStatusClasses == std::tuple_size_v<decltype(figures.by_class)>);
  for (std::size_t i = 0; i < figures.by_class.size(); ++i)
    figures.by_class[i] = board.by_class[i].load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < figures.by_time.size(); ++i)
    figures.by_time[i] = board.by_time[i].load(std::memory_order_relaxed);
  figures.time_ns = board.request_ns.load(std::memory_order_relaxed);
  return figures;
}

std::uint64_t identity_of(const std::string &boot_id, const cgroups::Cgroup &cgroup) {
  struct stat status {};
  if (::fstat(cgroup.directory().get(), &status) != 0) return 1;
  return accounting::run_identity(boot_id, status.st_ino);
}

}  // namespace

Accountant::Accountant(boost::asio::io_context &io, const std::string &state_dir)
    : timer_(io), store_(state_dir + "/history.db"), history_(store_, {}), events_(store_, {}) {
  if (auto boot_id = read_file("/proc/sys/kernel/random/boot_id"); boot_id) boot_id_ = std::move(*boot_id);
}

void Accountant::start() {
  report(history_.load(wall_clock()));
  schedule();
}

void Accountant::stop() {
  timer_.cancel();
  flush();
}

void Accountant::flush() {
  const auto now = wall_clock();
  flushed_ = std::chrono::steady_clock::now();
  // What has ended was recorded when it did.
  for (const auto &tenant : running_) record(tenant, books_.at(tenant));
  report(history_.flush(now));
  report(events_.flush(now));
}

void Accountant::schedule() {
  timer_.expires_after(kTick / slices_);
  timer_.async_wait([this](const boost::system::error_code &error) {
    if (error) return;
    sample_share();
    if (++slice_ >= slices_) {
      keep_house();
      slice_ = 0;
      slices_ = std::clamp<std::size_t>(running_.size() / kPerSlice, 1, kMostSlices);
    }
    schedule();
  });
}

void Accountant::sample_share() {
  const std::size_t share = (running_.size() + slices_ - 1) / slices_;
  for (std::size_t i = 0; i < share; ++i) {
    if (next_ >= running_.size()) next_ = 0;
    const std::string &tenant = running_[next_++];
    Book &book = books_.at(tenant);
    // Half a tick early rather than late by half of one.
    const auto now = std::chrono::steady_clock::now() + kTick / 2;
    sample(tenant, book,
           now - book.sampled_all >= kAllPeriod         ? Depth::kAll
           : now - book.sampled_limits >= kLimitsPeriod ? Depth::kLimits
                                                        : Depth::kNow);
  }
}

void Accountant::keep_house() {
  const auto now = wall_clock();
  report(history_.tick(now));
  report(events_.flush(now));
  if (auto damage = store_.take_damage()) {
    log::error("history: " + damage->cause.message() + "; moved to " + damage->moved_to);
    append({.id = 0,
            .time = now,
            .tenant = {},
            .kind = EventKind::kCorruptHistory,
            .actor = {},
            .text = damage->cause.message() + "; moved to " + damage->moved_to,
            .snapshot = {}});
  }
  if (const auto steady = std::chrono::steady_clock::now(); steady - pruned_ >= kPruneInterval) {
    pruned_ = steady;
    report(events_.prune(now));
  }
}

Accountant::Book &Accountant::book_of(const std::string &tenant) {
  const auto found = books_.find(tenant);
  if (found != books_.end()) return found->second;
  Book book;
  book.meter = accounting::Meter(history_.mark(tenant));
  return books_.emplace(tenant, std::move(book)).first->second;
}

void Accountant::started(const std::string &tenant, const Run &run) {
  Book &book = book_of(tenant);
  book.run = &run;
  if (const auto identity = identity_of(boot_id_, run.cgroup()); book.run_identity != identity) {
    book.run_identity = identity;
    book.last = {};
    book.last_io.clear();
  }
  ++book.board_identity;
  book.reader = cgroups::StatsReader(run.cgroup().directory());
  book.sampled = book.sampled_limits = book.sampled_all = book.judged = std::chrono::steady_clock::now();
  book.unjudged = {};
  book.meter.count(&accounting::Counters::starts);
  running_.push_back(tenant);
  append({.id = 0,
          .time = wall_clock(),
          .tenant = tenant,
          .kind = EventKind::kStart,
          .actor = {},
          .text = {},
          .snapshot = {}});
}

void Accountant::ended(const std::string &tenant, const RunEnd &end) {
  Book &book = book_of(tenant);
  if (book.run == nullptr) return;
  sample(tenant, book, Depth::kAll);
  book.run = nullptr;
  book.reader = {};
  book.meter.ended();
  if (!end.asked) book.meter.count(&accounting::Counters::crashes);
  record(tenant, book);
  std::erase(running_, tenant);
  append({.id = 0,
          .time = wall_clock(),
          .tenant = tenant,
          .kind = end.asked ? EventKind::kStop : EventKind::kCrash,
          .actor = {},
          .text = end.why,
          .snapshot = {}});
}

void Accountant::sample(const std::string &tenant, Book &book, Depth depth) {
  if (!book.reader.primed()) depth = Depth::kAll;
  const auto read = book.reader.read(depth);
  if (!read) return log::warning(tenant + ": " + read.error().message());
  const cgroups::Stats &stats = **read;
  const auto counters = counters_of(stats);
  book.meter.read_kernel(book.run_identity, counters);
  const auto &board = book.run->board();
  accounting::Counters board_counters;
  board_counters.requests = board->requests.load(std::memory_order_relaxed);
  board_counters.request_ns = board->request_ns.load(std::memory_order_relaxed);
  board_counters.late = board->late.load(std::memory_order_relaxed);
  board_counters.bytes_in = board->bytes_in.load(std::memory_order_relaxed);
  board_counters.bytes_out = board->bytes_out.load(std::memory_order_relaxed);
  const auto now = std::chrono::steady_clock::now();
  book.meter.read_board(book.board_identity, board_counters, book.run->workers_max(),
                        now - book.run->started());
  book.requests.read(book.board_identity, request_figures_of(*board.get()), book.run->workers_max(),
                     now - book.run->started());
  if (const auto traffic = book.run->traffic()) {
    accounting::Counters network;
    network.net_in_bytes = traffic->received_bytes;
    network.net_out_bytes = traffic->sent_bytes;
    book.meter.read_network(book.board_identity, network);
  }
  book.meter.observe(gauges_of(stats), std::chrono::duration_cast<milliseconds>(now - book.sampled));
  book.sampled = now;
  if (depth == Depth::kAll) book.sampled_all = now;
  if (depth != Depth::kNow) {
    notice_io_limits(tenant, book, stats, now - book.sampled_limits);
    notice_limits(tenant, book, counters);
    book.sampled_limits = now;
    book.last = counters;
  }
  record(tenant, book);
  if (!on_use_) return;
  on_use_(tenant, wall_clock(), std::chrono::duration_cast<milliseconds>(now - book.judged), book.unjudged);
  book.judged = now;
  book.unjudged = {};
}

void Accountant::notice_limits(const std::string &tenant, Book &book, const accounting::Counters &now) {
  struct Watched {
    std::uint64_t accounting::Counters::*counter;
    EventKind kind;
    const char *text;
  };
  static constexpr Watched kWatched[] = {
      {&accounting::Counters::oom_kills, EventKind::kOomKill, "processes killed for memory"},
      {&accounting::Counters::memory_max_events, EventKind::kLimitMemory, "times at memory.max"},
      {&accounting::Counters::forks_refused, EventKind::kLimitPids, "forks refused"},
      {&accounting::Counters::cpu_throttled_periods, EventKind::kLimitCpu,
       "periods throttled by the cpu quota"},
  };
  for (const auto &[counter, kind, text] : kWatched) {
    const std::uint64_t more = now.*counter - std::min(book.last.*counter, now.*counter);
    if (more == 0) continue;
    append({.id = 0,
            .time = wall_clock(),
            .tenant = tenant,
            .kind = kind,
            .actor = "kernel",
            .text = std::to_string(more) + " " + text,
            .snapshot = snapshot_of(*book.run).to_json()});
  }
}

// The kernel does not count how often io.max held something up: what went through says that it did.
void Accountant::notice_io_limits(const std::string &tenant, Book &book, const cgroups::Stats &stats,
                                  std::chrono::duration<double> elapsed) {
  if (!stats.io || stats.io->empty()) return;
  const std::vector<cgroups::IoStat> before = std::exchange(book.last_io, *stats.io);
  if (elapsed < kLeastIoSpan) return;
  const auto of = [](const auto &all, const cgroups::IoStat &device) {
    return std::find_if(all.begin(), all.end(), [&device](const auto &each) {
      return each.major == device.major && each.minor == device.minor;
    });
  };
  std::optional<std::vector<cgroups::IoMax>> limits;
  for (const auto &now : *stats.io) {
    const auto then = of(before, now);
    const cgroups::IoStat old = then == before.end() ? cgroups::IoStat{} : *then;
    if (now.reads == old.reads && now.writes == old.writes) continue;
    if (!limits) {
      auto read = cgroups::read_io_max(book.run->cgroup().directory());
      if (!read) return;
      limits = std::move(*read);
    }
    const auto limit = of(*limits, now);
    if (limit == limits->end()) continue;
    const auto reached = [elapsed](std::uint64_t from, std::uint64_t to, const auto &allowed) {
      return allowed && static_cast<double>(to - std::min(from, to)) >=
                            kIoShare * static_cast<double>(*allowed) * elapsed.count();
    };
    if (!reached(old.read_bytes, now.read_bytes, limit->read_bytes_per_s) &&
        !reached(old.written_bytes, now.written_bytes, limit->write_bytes_per_s) &&
        !reached(old.reads, now.reads, limit->read_ops_per_s) &&
        !reached(old.writes, now.writes, limit->write_ops_per_s))
      continue;
    append({.id = 0,
            .time = wall_clock(),
            .tenant = tenant,
            .kind = EventKind::kLimitIo,
            .actor = "kernel",
            .text = "at a limit of device " + std::to_string(now.major) + ":" + std::to_string(now.minor),
            .snapshot = snapshot_of(*book.run).to_json()});
  }
}

void Accountant::record(const std::string &tenant, Book &book) {
  const auto increment = book.meter.take();
  if (increment.empty()) return;
  if (increment.counters.late > 0)
    append_fault(EventKind::kDeadline, tenant, book, {},
                 std::to_string(increment.counters.late) + " requests past their deadline");
  if (on_use_ && book.run != nullptr) book.unjudged.add(increment);
  history_.record(tenant, wall_clock(), increment, book.meter.mark());
}

void Accountant::append(accounting::Event event) {
  if (on_event_) on_event_(event);
  if (const auto appended = events_.append(std::move(event)); !appended)
    log::error("events: " + appended.error().message());
}

// What befell a tenant that runs, with what it was doing.
void Accountant::append_fault(EventKind kind, const std::string &tenant, const Book &book,
                              const std::string &actor, const std::string &text) {
  append({.id = 0,
          .time = wall_clock(),
          .tenant = tenant,
          .kind = kind,
          .actor = actor,
          .text = text,
          .snapshot = book.run != nullptr ? snapshot_of(*book.run).to_json() : std::string()});
}

void Accountant::refused(const std::string &tenant, std::uint64_t requests, bool by_queue) {
  Book &book = book_of(tenant);
  book.meter.count(&accounting::Counters::refused, requests);
  record(tenant, book);
  if (by_queue)
    append_fault(EventKind::kQueueFull, tenant, book, {},
                 std::to_string(requests) + " requests refused: too many waited, or too long");
}

void Accountant::queued(const std::string &tenant, std::uint64_t requests, std::uint64_t time_us) {
  Book &book = book_of(tenant);
  book.meter.count(&accounting::Counters::queued, requests);
  book.meter.count(&accounting::Counters::queue_ns, time_us * 1000);
  record(tenant, book);
}

void Accountant::mailed(const std::string &tenant, bool sent) {
  Book &book = book_of(tenant);
  book.meter.count(sent ? &accounting::Counters::mails : &accounting::Counters::mails_refused);
  record(tenant, book);
}

void Accountant::worker_died(const std::string &tenant, const ExitStatus &status) {
  Book &book = book_of(tenant);
  // Whether it was for memory is told now, and before the worker's end.
  if (book.run != nullptr) sample(tenant, book, Depth::kAll);
  book.meter.count(&accounting::Counters::crashes);
  record(tenant, book);
  append({.id = 0,
          .time = wall_clock(),
          .tenant = tenant,
          .kind = EventKind::kCrash,
          .actor = {},
          .text = "a worker ended: " + status.to_string(),
          .snapshot = book.run != nullptr ? snapshot_of(*book.run).to_json() : std::string()});
}

void Accountant::set_retention(const accounting::Retention &use, const accounting::EventRetention &events) {
  history_.set_retention(use);
  events_.set_retention(events);
}

void Accountant::note(EventKind kind, const std::string &tenant, const std::string &actor,
                      const std::string &text, std::string snapshot) {
  const auto found = books_.find(tenant);
  if (snapshot.empty() && found != books_.end() && found->second.run != nullptr)
    snapshot = snapshot_of(*found->second.run).to_json();
  append({.id = 0,
          .time = wall_clock(),
          .tenant = tenant,
          .kind = kind,
          .actor = actor,
          .text = text,
          .snapshot = std::move(snapshot)});
}

// Who asks again and again gets the same sample for a while.
void Accountant::freshen(const std::string &tenant, Book &book, Depth depth) {
  if (book.run == nullptr) return;
  const auto sampled = depth == Depth::kAll ? book.sampled_all : book.sampled;
  if (std::chrono::steady_clock::now() - sampled >= kFresh) sample(tenant, book, depth);
}

accounting::Usage Accountant::lifetime(const std::string &tenant) {
  const auto found = books_.find(tenant);
  if (found != books_.end()) {
    freshen(tenant, found->second, Depth::kNow);
    record(tenant, found->second);
  }
  return history_.lifetime(tenant);
}

accounting::RequestFigures Accountant::requests(const std::string &tenant) {
  const auto found = books_.find(tenant);
  if (found == books_.end()) return {};
  freshen(tenant, found->second, Depth::kNow);
  return found->second.requests.total();
}

accounting::Gauges Accountant::gauges(const std::string &tenant) {
  const auto found = books_.find(tenant);
  if (found == books_.end()) return {};
  freshen(tenant, found->second, Depth::kNow);
  return found->second.meter.gauges();
}

Result<accounting::Database *> Accountant::history() {
  if (std::chrono::steady_clock::now() - flushed_ >= kTick) {
    for (const auto &tenant : running_) freshen(tenant, books_.at(tenant), Depth::kAll);
    flush();
  }
  return store_.database(wall_clock());
}

void Accountant::history_failed(const Error &error) {
  store_.failed(error, wall_clock());
}

}  // namespace paddock::supervisor
