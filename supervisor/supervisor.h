// paddockd's main part: the tenants, the programs that serve them, and the signals and orders that change
// them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/hierarchy.h"
#include "policies/config.h"
#include "policies/socket_path.h"
#include "protocols/control/result.h"
#include "supervisor/accountant.h"
#include "supervisor/announcer.h"
#include "supervisor/block_list.h"
#include "supervisor/child_watch.h"
#include "supervisor/enforcer.h"
#include "supervisor/gateway.h"
#include "supervisor/logins.h"
#include "supervisor/mail_broker.h"
#include "supervisor/memory_pressure.h"
#include "supervisor/networks.h"
#include "supervisor/opener_process.h"
#include "supervisor/service_manager.h"
#include "supervisor/tenant.h"
#include "supervisor/zygotes.h"

namespace paddock::supervisor {

class ControlServer;

class Supervisor {
 public:
  // Takes run_dir over (one supervisor a run_dir: flock(2) on run_dir/paddockd.lock), finds what a dead run
  // left, makes the sockets. program_dir: where paddock-gateway and paddock-php are.
  // hand_over: a stop is followed by a start. It then leaves the listening sockets in the service manager's
  // store and running requests to the keepers, which end when they are done, and does not wait for either.
  // opener: absent where it could not be started; then the supervisor does without.
  [[nodiscard]] static Result<std::unique_ptr<Supervisor>> create(policies::Config config,
                                                                  const std::string &program_dir,
                                                                  ServiceManager manager, bool hand_over,
                                                                  std::optional<OpenerProcess> opener);
  ~Supervisor();

  // Serves until SIGTERM or SIGINT, then lets running requests finish and removes all that it made.
  void run();

  // Reads the config again and changes only what has changed. A bad config changes nothing and is the Error.
  Result<control::Reloaded> reload();
  // The same for one tenant, new ones and those that are declared no more among them; costs a few
  // milliseconds at any number of others. Where and what it looks for: policies/tenant_file.h.
  Result<control::Reloaded> reload_tenant(const std::string &name);

  [[nodiscard]] Tenant *find(const std::string &name);
  using Tenants = std::map<std::string, std::unique_ptr<Tenant>>;
  [[nodiscard]] const Tenants &tenants() const { return tenants_; }
  [[nodiscard]] const policies::Config &config() const { return *config_; }
  [[nodiscard]] const cgroups::Hierarchy &hierarchy() const { return hierarchy_; }
  [[nodiscard]] const Gateway &gateway() const { return *gateway_; }
  [[nodiscard]] const Zygotes &zygotes() const { return *zygotes_; }
  // Null: the config names none.
  [[nodiscard]] const HelperProgram *dashboard() const { return dashboard_.get(); }
  // Null: the config names no MTA.
  [[nodiscard]] const MailBroker *mail() const { return mail_.get(); }
  [[nodiscard]] Logins &logins() { return logins_; }
  // Plans of the config whose limits the kernel refuses, with its answer.
  [[nodiscard]] const std::map<std::string, Error> &refused_plans() const { return refused_plans_; }
  [[nodiscard]] Accountant &accountant() { return accountant_; }
  [[nodiscard]] std::chrono::system_clock::time_point started_at() const { return started_at_; }

 private:
  Supervisor(policies::Config config, cgroups::Hierarchy hierarchy, BlockList blocks, BlockList throttles,
             BlockList freezes, UniqueFd lock, const policies::SocketKey &socket_key, ServiceManager manager,
             bool hand_over);

  void start_dashboard(const std::string &program_dir);
  Result<void> open_inheritance();
  Result<void> start_mail(const std::string &program_dir);
  Result<void> start_programs(const std::string &program_dir);
  void watch_opener();
  [[nodiscard]] Result<void> prepare_sockets();
  Result<void> add_tenant(const std::string &name);
  // Adds or changes one as config_ has it.
  void put_tenant(const policies::Tenant &settings, bool refusals_differ, control::Reloaded &summary);
  void tell_manager_we_live();
  Tenants::iterator remove_tenant(Tenants::iterator position);
  void apply_settings();
  void watch_pressure();
  void relieve_host();
  void try_plans();
  void hold_until_empty(const std::string &name, std::chrono::milliseconds patience);
  void adopt_left_overs();
  void watch_left_overs();
  void wait_for_signal();
  void begin_stop();
  void finish_stop_when_quiet();
  void leave();

  struct LeftOver {
    std::string tenant;
    cgroups::Cgroup cgroup;
    std::chrono::steady_clock::time_point deadline;
  };

  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_;
  boost::asio::steady_timer left_over_timer_;
  boost::asio::steady_timer stop_timer_;
  // The tenants hold it too. A reload of everything brings another, one of a tenant changes that one in it.
  std::shared_ptr<policies::Config> config_;
  policies::Runtime runtime_;  // as it was at the start: a reload does not move directories
  cgroups::Hierarchy hierarchy_;
  BlockList blocks_;
  BlockList throttles_;
  BlockList freezes_;
  Accountant accountant_;
  Enforcer enforcer_;
  Announcer announcer_;
  UniqueFd lock_;
  ServiceManager manager_;
  boost::asio::steady_timer watchdog_timer_;
  bool hand_over_;
  policies::SocketKey socket_key_;
  std::chrono::system_clock::time_point started_at_ = std::chrono::system_clock::now();
  UniqueFd spool_;
  std::pair<UniqueFd, UniqueFd> inheritance_;  // of gateways: where it goes in, and out
  UniqueFd refusal_reports_;
  KeptOpcaches opcaches_;
  std::unique_ptr<MemoryPressure> pressure_;  // null: the host does not measure it
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<Zygotes> zygotes_;
  std::unique_ptr<HelperProgram> dashboard_;
  UniqueFd mail_spool_;
  std::unique_ptr<MailBroker> mail_;
  Logins logins_;
  Networks networks_;
  std::optional<OpenerProcess> opener_;
  std::shared_ptr<ChildWatch> opener_watch_;
  std::unique_ptr<Services> services_;
  std::vector<LeftOver> left_overs_;
  std::map<std::string, Error> refused_plans_;
  Tenants tenants_;
  std::map<std::uint32_t, Tenant *> by_number_;
  std::vector<std::unique_ptr<Tenant>> leaving_;  // removed by a reload, their sandboxes still draining
  std::unique_ptr<ControlServer> control_;
  std::uint32_t next_number_ = 1;
  bool stopping_ = false;
};

}  // namespace paddock::supervisor
