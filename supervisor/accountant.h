// Keeps the tenants' books: samples what runs, notes what befalls it, and hands both to the history on disk.
//
// Only tenants with a sandbox cost anything. Failures of the disk are logged, never the tenants' problem.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "accounting/event_log.h"
#include "accounting/history.h"
#include "accounting/meter.h"
#include "accounting/request_meter.h"
#include "accounting/store.h"
#include "supervisor/run.h"

namespace paddock::supervisor {

class Accountant {
 public:
  // Each sandbox's CPU time, memory, processes and scoreboard are read each kTick, limits that were hit and
  // disks each kLimitsPeriod, all else each kAllPeriod (StatsReader::Depth). Many sandboxes are spread over
  // slices of the tick, so that they never hold the loop up at once.
  static constexpr auto kTick = std::chrono::seconds(1);
  static constexpr auto kLimitsPeriod = std::chrono::seconds(5);
  static constexpr auto kAllPeriod = std::chrono::seconds(15);
  static constexpr std::size_t kPerSlice = 100;
  static constexpr std::size_t kMostSlices = 10;

  // What a tenant used in the `length` up to `end`: told with each sample.
  using OnUse = std::function<void(const std::string &tenant, accounting::Time end,
                                   std::chrono::milliseconds length, const accounting::Usage &usage)>;

  // Books are in state_dir/history.db.
  Accountant(boost::asio::io_context &io, const std::string &state_dir);

  void set_retention(const accounting::Retention &use, const accounting::EventRetention &events);
  void on_use(OnUse on_use) { on_use_ = std::move(on_use); }
  // Told of each event, before it has an id.
  using OnEvent = std::function<void(const accounting::Event &event)>;
  void on_event(OnEvent on_event) { on_event_ = std::move(on_event); }
  void start();
  // Writes all that is not yet on disk.
  void stop();

  // A sandbox was cloned; `run` must live until ended().
  void started(const std::string &tenant, const Run &run);
  // Its last process has gone, its cgroup has not: the last reading.
  void ended(const std::string &tenant, const RunEnd &end);
  // The gateway answered in the workers' place. by_queue: since no more may wait, or have waited too long.
  void refused(const std::string &tenant, std::uint64_t requests, bool by_queue);
  // That have waited in the gateway for a worker, and how long in all.
  void queued(const std::string &tenant, std::uint64_t requests, std::uint64_t time_us);
  // It has sent one, or wanted to.
  void mailed(const std::string &tenant, bool sent);
  void worker_died(const std::string &tenant, const ExitStatus &status);
  // Something that the admin, or a rule, did. actor: "uid 0". snapshot: what the tenant does now, where none
  // is given. On disk before it returns, unless the disk fails.
  void note(accounting::EventKind kind, const std::string &tenant, const std::string &actor,
            const std::string &text, std::string snapshot = {});

  // All since the first start of Paddock on this state_dir, this moment's sample included where one runs.
  [[nodiscard]] accounting::Usage lifetime(const std::string &tenant);
  // Whether there is, or was, a tenant of that name.
  [[nodiscard]] bool knows(const std::string &tenant) const { return history_.knows(tenant); }
  [[nodiscard]] const std::vector<std::string> &running() const { return running_; }
  // How its requests went since this supervisor started.
  [[nodiscard]] accounting::RequestFigures requests(const std::string &tenant);
  // What a running tenant holds, at most kTick ago.
  [[nodiscard]] accounting::Gauges gauges(const std::string &tenant);

  [[nodiscard]] accounting::EventLog &events() { return events_; }
  // The history, for queries. Holds all that is known, or was a second ago: who asks again and again has
  // nothing written again.
  [[nodiscard]] Result<accounting::Database *> history();
  // To be told of every error that a query has returned.
  void history_failed(const Error &error);
  // Makes the file hold all that is known.
  void flush();

 private:
  struct Book {
    accounting::Meter meter;
    accounting::RequestMeter requests;
    const Run *run = nullptr;
    std::uint64_t run_identity = 0;    // of its cgroup, which the next run may have too
    std::uint64_t board_identity = 0;  // of its scoreboard and its network
    cgroups::StatsReader reader;       // of the run's cgroup
    std::chrono::steady_clock::time_point sampled;
    std::chrono::steady_clock::time_point sampled_limits;  // with Depth::kLimits or kAll
    std::chrono::steady_clock::time_point sampled_all;
    std::chrono::steady_clock::time_point judged;  // on_use() was last told
    accounting::Usage unjudged;                    // what was used since
    accounting::Counters last;  // the kernel's figures of the last sample, to see limits being hit
    std::vector<cgroups::IoStat> last_io;
  };

  Book &book_of(const std::string &tenant);
  using Depth = cgroups::StatsReader::Depth;
  void sample(const std::string &tenant, Book &book, Depth depth);
  // Samples it unless it was sampled that deep a moment ago.
  void freshen(const std::string &tenant, Book &book, Depth depth);
  void sample_share();
  void keep_house();
  void notice_limits(const std::string &tenant, Book &book, const accounting::Counters &now);
  void notice_io_limits(const std::string &tenant, Book &book, const cgroups::Stats &stats,
                        std::chrono::duration<double> elapsed);
  void record(const std::string &tenant, Book &book);
  void append(accounting::Event event);
  void append_fault(accounting::EventKind kind, const std::string &tenant, const Book &book,
                    const std::string &actor, const std::string &text);
  void schedule();

  boost::asio::steady_timer timer_;
  OnUse on_use_;
  OnEvent on_event_;
  accounting::Store store_;
  accounting::History history_;
  accounting::EventLog events_;
  std::string boot_id_;
  std::map<std::string, Book> books_;  // of tenants that ran since we started
  std::vector<std::string> running_;   // in the order of sampling
  std::size_t next_ = 0;
  std::size_t slices_ = 1;  // of the tick that runs
  std::size_t slice_ = 0;
  std::chrono::steady_clock::time_point pruned_;
  std::chrono::steady_clock::time_point flushed_;
};

}  // namespace paddock::supervisor
