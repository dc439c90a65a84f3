// A tenant as the supervisor runs it: whether a sandbox exists, should exist or may not, and what the gateway
// does with the tenant's socket meanwhile.
//
// The table of states and events is the class's switch in tenant.cc:
//   kIdle      no process            wake, start -> kStarting
//   kStarting  keeper being cloned   ready -> kRunning; failure -> kWaiting
//   kRunning   workers accept        idle, stop -> kStopping; crash -> kIdle, or kWaiting after a short life
//   kStopping  draining or killed    end -> kIdle
//   kWaiting   back-off              timer -> kIdle
// A block, a freeze or a problem of the config (no such user) lies over the state: the gateway then refuses.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "cgroups/hierarchy.h"
#include "policies/config.h"
#include "supervisor/accountant.h"
#include "supervisor/back_off.h"
#include "supervisor/block_list.h"
#include "supervisor/gateway.h"
#include "supervisor/kept_opcaches.h"
#include "supervisor/mail_broker.h"
#include "supervisor/networks.h"
#include "supervisor/run.h"
#include "supervisor/service_manager.h"
#include "supervisor/zygotes.h"

namespace paddock::supervisor {

// What every tenant uses. Outlives them.
struct Services {
  boost::asio::io_context &io;
  const policies::Runtime &runtime;
  cgroups::Hierarchy &cgroups;
  BlockList &blocks;
  BlockList &throttles;
  BlockList &freezes;
  Gateway &gateway;
  Zygotes &zygotes;
  KeptOpcaches &opcaches;
  Accountant &accountant;
  ServiceManager &manager;
  Networks &networks;
  const OpenerProcess *opener;  // null: it could not be started, or has ended
  MailBroker *mail;             // null: the config names no MTA
  std::string mail_program;     // the views' sendmail
};

class Tenant {
 public:
  enum class State { kIdle, kStarting, kRunning, kStopping, kWaiting };

  // config: has a tenant of that name. listener: the tenant's listening socket at socket_path.
  Tenant(Services &services, std::uint32_t number, const std::string &name,
         std::shared_ptr<const policies::Config> config, UniqueFd listener, std::string socket_path);
  ~Tenant();
  Tenant(const Tenant &) = delete;
  Tenant &operator=(const Tenant &) = delete;

  // Tells a gateway that knows nothing about this tenant.
  void introduce_to_gateway();

  // A connection waits.
  void wake();
  // By the admin's order. Errors say why not.
  Result<void> start();
  void stop();
  // For the host's sake, as when its plan's time without a request had passed. False: it is not idle.
  bool stop_idle();
  void restart();  // stops, and starts again once it has
  void kill();
  // Over restarts too, until then or thaw(). What runs stands still for as long as the supervisor lives; its
  // end is the end of that.
  Result<void> freeze(std::optional<std::chrono::system_clock::time_point> until = {});
  Result<void> thaw();
  // The kernel holds it to another plan's limits, over restarts too, until then or unthrottle().
  Result<void> throttle(const std::string &plan, std::optional<std::chrono::system_clock::time_point> until);
  Result<void> unthrottle();
  Result<void> block(Block block);
  Result<void> unblock();
  // New settings, of a config that still has this tenant. Limits change live; what a running sandbox was made
  // from changes by letting it drain.
  // The value: whether anything changed. An Error: the kernel refused a limit; the tenant goes on with its
  // old settings as a whole. refusals_differ: Services::runtime says something else about them than before.
  [[nodiscard]] Result<bool> reconfigure(std::shared_ptr<const policies::Config> config,
                                         bool refusals_differ);
  // A sandbox of a dead run is still finishing requests: no other is started until left_over_gone().
  void hold_for_left_over() { left_over_ = true; }
  void left_over_gone();
  // For the end of the program: drains, starts nothing any more.
  void retire();
  // The config has it no longer: as retire(), and the gateway refuses what waits and forgets it. on_gone:
  // posted when there is no run() any more, unless there is none now.
  void leave(std::function<void()> on_gone);

  [[nodiscard]] std::uint32_t number() const { return number_; }
  [[nodiscard]] const policies::Tenant &settings() const { return *settings_; }
  [[nodiscard]] const policies::Plan &plan() const { return *plan_; }
  [[nodiscard]] policies::Php php() const { return config_->php_of(*settings_); }
  [[nodiscard]] const std::string &socket_path() const { return socket_path_; }
  [[nodiscard]] State state() const { return state_; }
  // Before the gateway ends for good (AdmissionLink::leave_handoff()).
  void leave_handoff() {
    if (run_) run_->leave_handoff();
  }
  [[nodiscard]] const Run *run() const { return run_.get(); }
  [[nodiscard]] const Block *block_in_force() const { return services_.blocks.find(settings_->name); }
  [[nodiscard]] const Block *throttle_in_force() const { return services_.throttles.find(settings_->name); }
  // The plan's, or those of the plan that it is throttled to.
  [[nodiscard]] const policies::Limits &limits_in_force() const {
    return plan_in_force(*config_, *plan_).limits;
  }
  [[nodiscard]] const Block *freeze_in_force() const { return services_.freezes.find(settings_->name); }
  [[nodiscard]] bool frozen() const { return freeze_in_force() != nullptr; }
  [[nodiscard]] const std::string &last_failure() const { return last_failure_; }
  // Answered by its sandboxes since the supervisor started, as their scoreboards say: untrusted.
  [[nodiscard]] std::uint64_t requests() const;
  // Since the supervisor started, as the gateway says. In Waiting, all but what waits now are totals here.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t> &refused_by_reason() const {
    return refused_by_reason_;
  }
  [[nodiscard]] const gateway_link::Waiting &waiting() const { return waiting_; }
  void count_refused(const std::string &reason, std::uint64_t requests);
  void count_waiting(const gateway_link::Waiting &waiting);
  [[nodiscard]] MailBroker::Figures mail() const;
  // Bytes that its opcache holds while it has no sandbox.
  [[nodiscard]] std::uint64_t kept_opcache() const { return services_.opcaches.held(settings_->name); }

 private:
  Result<void> try_start();
  Result<void> begin_start();
  Result<void> show_mail(zygote_link::Spawn &spawn);
  void begin_stop(bool keep_opcache = false);
  void drop_opcache();
  void run_ended(const RunEnd &end);
  void replace_broken_socket();
  // took: the attempt, where there was one.
  void fail_start(const std::string &why, Run::Clock::duration took = {});
  void become(State state);
  // anew: even where mode and reason are as they were told.
  void update_gateway(bool anew = false);
  void lease_to_run();
  // The plan, or the one of that config that the tenant is throttled to.
  [[nodiscard]] const policies::Plan &plan_in_force(const policies::Config &config,
                                                    const policies::Plan &plan) const;
  Result<void> apply_limits();
  // What ends at a time.
  struct Ending {
    const Block *(Tenant::*in_force)() const;
    Result<void> (Tenant::*lift)();
    accounting::EventKind event;
    const char *what;
  };
  void watch_end(const Ending &ending, std::unique_ptr<boost::asio::steady_timer> &timer);
  void watch_block_end();
  void watch_throttle_end();
  void watch_freeze_end();
  [[nodiscard]] bool refuses() const;
  [[nodiscard]] gateway_link::Mode gateway_mode() const;
  [[nodiscard]] gateway_link::Refusal refusal() const;

  Services &services_;
  std::uint32_t number_;
  std::shared_ptr<const policies::Config> config_;
  std::shared_ptr<const policies::Tenant> settings_;
  const policies::Plan *plan_;  // in config_
  UniqueFd listener_;
  std::string socket_path_;
  State state_ = State::kIdle;
  bool left_over_ = false;
  bool retired_ = false;
  bool removed_ = false;
  std::function<void()> on_gone_;
  bool long_back_off_ = false;
  std::shared_ptr<Run> run_;
  BackOff back_off_;
  std::unique_ptr<boost::asio::steady_timer>
      timer_;  // of kWaiting; made when first needed: most tenants idle
  std::unique_ptr<boost::asio::steady_timer> block_timer_;  // of a block with an end
  std::unique_ptr<boost::asio::steady_timer> throttle_timer_;
  std::unique_ptr<boost::asio::steady_timer> freeze_timer_;
  std::string last_failure_;
  std::uint64_t refused_ = 0;
  std::map<std::string, std::uint64_t> refused_by_reason_;
  gateway_link::Waiting waiting_;
  std::uint64_t past_requests_ = 0;  // of runs that have ended
  bool start_after_stop_ = false;
  gateway_link::Mode told_mode_ = gateway_link::Mode::kWatch;
  std::string told_reason_;
};

}  // namespace paddock::supervisor
