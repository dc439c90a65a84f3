// One run of a tenant's sandbox: what exists on the machine from the clone of its keeper until the last of it
// is gone.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/cgroup.h"
#include "network/interface.h"
#include "policies/config.h"
#include "protocols/keeper_link/keeper_link.h"
#include "protocols/scoreboard/scoreboard.h"
#include "supervisor/admission_link.h"
#include "supervisor/child_watch.h"
#include "supervisor/kept_opcaches.h"
#include "supervisor/link.h"
#include "supervisor/opcache_files.h"
#include "supervisor/tenant_log.h"
#include "supervisor/tree_opener.h"
#include "supervisor/zygote.h"

namespace paddock::supervisor {

// How a run ended.
struct RunEnd {
  bool was_ready = false;  // the view stood and workers accepted
  bool asked = false;      // drain() or kill() came before
  std::string why;         // for the log
};

class Run : public std::enable_shared_from_this<Run> {
 public:
  using Clock = std::chrono::steady_clock;
  struct Callbacks {
    std::function<void()> on_ready;
    std::function<void()> on_idle;
    std::function<void(const ExitStatus &)> on_worker_died;
    std::function<void()> on_cloned;
    // Its processes have gone, its cgroup can be read a last time. Only after on_cloned.
    std::function<void(const RunEnd &)> on_dead;
    // The keeper has ended and the cgroup is gone. The last call.
    std::function<void(const RunEnd &)> on_end;
  };

  // The message that a tenant's sandbox is made from; two equal ones mean that nothing of a sandbox has
  // changed.
  [[nodiscard]] static zygote_link::Spawn spawn_message(const policies::Tenant &tenant,
                                                        const policies::Plan &plan);

  // Makes scoreboard and links, has the home and the binds opened in the host's mount namespace (TreeOpener),
  // and asks the zygote. `link`: for Network::kNat, made by the same child. `cgroup` has been created with
  // the plan's limits. An Error: nothing was started, and the cgroup is removed.
  // `opcache`: what an earlier run has left, of this zygote; empty: it begins with none.
  // What is to be opened for it: by a TreeOpener, which works while the rest is prepared.
  [[nodiscard]] static OpenTrees trees_of(const zygote_link::Spawn &spawn,
                                          const std::optional<network::TenantLink> &link);
  // interface: the host's end of its own network; empty: it has none.
  [[nodiscard]] static Result<std::shared_ptr<Run>> start(
      boost::asio::io_context &io, std::shared_ptr<TreeOpener> opener, std::shared_ptr<Zygote> zygote,
      zygote_link::Spawn spawn, BorrowedFd listener, TenantLogs logs, cgroups::Cgroup cgroup,
      std::string interface, OpcacheFiles opcache, Callbacks callbacks);
  ~Run();
  Run(const Run &) = delete;
  Run &operator=(const Run &) = delete;

  // Lets running requests finish, at most `patience`, then ends. Connections that no worker has accepted stay
  // in the backlog. keep_opcache: if it ends in good order, take_opcache() gives what the next run can have.
  void drain(std::chrono::milliseconds patience, bool keep_opcache = false);
  // It is for nobody after all.
  void drop_opcache() { opcache_ = {}; }
  // At its end, and with its cgroup: then that is still there.
  [[nodiscard]] std::optional<KeptOpcache> take_opcache();
  // Kills every process of the tenant at once (cgroup.kill, cgroup-v2.rst).
  void kill();
  void set_limits(const keeper_link::SetLimits &limits);

  [[nodiscard]] const AdmissionLink &admission() const { return admission_; }
  void leave_handoff() { admission_.leave_handoff(); }
  [[nodiscard]] cgroups::Cgroup &cgroup() { return cgroup_; }
  [[nodiscard]] const cgroups::Cgroup &cgroup() const { return cgroup_; }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] Clock::time_point started() const { return started_; }
  [[nodiscard]] pid_t keeper_pid() const { return watch_ ? watch_->child().pid() : 0; }
  [[nodiscard]] std::uint32_t workers_max() const { return workers_max_; }
  // What has gone over the network of its own so far; nullopt: it has none.
  [[nodiscard]] std::optional<network::Traffic> traffic() const;
  // What the workers say of themselves: untrusted.
  [[nodiscard]] const scoreboard::MappedBoard &board() const { return board_; }
  struct RunningRequest {
    scoreboard::SlotView slot;  // bounded, but its texts are hostile
    std::chrono::milliseconds age;
  };
  [[nodiscard]] std::vector<RunningRequest> running_requests() const;

 private:
  Run(boost::asio::io_context &io, std::shared_ptr<Zygote> zygote, const zygote_link::Spawn &spawn,
      cgroups::Cgroup cgroup, Callbacks callbacks);
  void opened(Result<std::vector<UniqueFd>> trees);
  void spawned(Child keeper);
  void clone_lost(const std::string &why);
  void on_packet(Packet &packet);
  Result<void> add_opcache(zygote_link::Spawn &spawn, std::vector<UniqueFd> &fds);
  [[nodiscard]] bool leaves_opcache() const {
    return keep_opcache_ && ended_in_order_ && !opcache_.files.empty();
  }
  void ended(const std::string &why);
  void remove_cgroup(int attempt);

  boost::asio::io_context &io_;
  std::shared_ptr<Zygote> zygote_;  // until the keeper is cloned; with Plan::own_start nobody else's
  std::uint32_t request_ = 0;       // its number for the start
  std::string name_;
  std::uint32_t workers_max_;
  cgroups::Cgroup cgroup_;
  Callbacks callbacks_;
  boost::asio::steady_timer removal_timer_;
  boost::asio::steady_timer patience_timer_;
  scoreboard::MappedBoard board_;
  AdmissionLink admission_;
  // For the zygote, once the trees are open.
  struct Prepared {
    zygote_link::Spawn spawn;
    std::vector<UniqueFd> fds;
  };
  Prepared prepared_;
  std::shared_ptr<TreeOpener> opener_;
  std::string interface_;  // the host's end of the network of its own; empty: it has none
  UniqueFd network_;       // keeps the interface and its counters until the books are closed
  std::shared_ptr<Link> link_;
  std::shared_ptr<ChildWatch> watch_;
  Clock::time_point started_ = Clock::now();
  bool ready_ = false;
  OpcacheFiles opcache_;  // empty: the keeper has made its own
  bool keep_opcache_ = false;
  Clock::time_point lost_at_{};  // the zygote's answer
  bool ended_in_order_ = false;  // no worker was broken off: what all share is whole
  RunEnd end_;
};

}  // namespace paddock::supervisor
