#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "base/message_socket.h"
#include "supervisor/commands.h"
#include "supervisor/control_server.h"
#include "supervisor/limits.h"
#include "supervisor/listening_socket.h"

namespace paddock::supervisor {
namespace {

constexpr auto kLeftOverPoll = std::chrono::milliseconds(50);
constexpr int kSpoolFd = HelperProgram::kLinkFd + 1;
constexpr int kReportsFd = kSpoolFd + 1;
constexpr int kInheritanceFd = kReportsFd + 1;  // and the next
constexpr auto kStopPoll = std::chrono::milliseconds(10);
// Of the sandboxes, one in so many is stopped each time that the host is short of memory.
constexpr std::size_t kReliefShare = 4;
// Opcode caches without a sandbox may hold one part in so many of the host's memory.
constexpr std::uint64_t kKeptShare = 8;

std::uint64_t host_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

Result<UniqueFd> lock_run_dir(const std::string &run_dir) {
  PADDOCK_CHECK(make_directories(run_dir, 0755));
  const std::string path = run_dir + "/paddockd.lock";
  PADDOCK_TRY(UniqueFd lock, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Error{"another paddockd serves " + run_dir};
    return errno_error("lock " + path);
  }
  return lock;
}

// Requests that come slowly wait here, in the gateway's unlinked files.
std::string spool_path(const policies::Runtime &runtime) {
  return runtime.state_dir + "/spool";
}

Result<void> prepare_directories(const policies::Config &config) {
  PADDOCK_CHECK(make_directories(config.runtime.state_dir, 0700));
  PADDOCK_CHECK(make_directories(config.runtime.state_dir + "/sessions", 0711));
  PADDOCK_CHECK(make_directories(spool_path(config.runtime), 0700));
  if (::chown(spool_path(config.runtime).c_str(), config.runtime.gateway_uid, config.runtime.gateway_gid) !=
      0)
    return errno_error("chown " + spool_path(config.runtime));
  PADDOCK_CHECK(make_directories(config.runtime.log_dir, 0755));
  PADDOCK_CHECK(make_directories(config.runtime.log_dir + "/tenants", 0711));
  PADDOCK_CHECK(make_directories(config.runtime.log_dir + "/access", 0711));
  return {};
}

}  // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::create(policies::Config config,
                                                       const std::string &program_dir, ServiceManager manager,
                                                       bool hand_over, std::optional<OpenerProcess> opener) {
  PADDOCK_TRY(UniqueFd lock, lock_run_dir(config.runtime.run_dir));
  PADDOCK_CHECK(prepare_directories(config));
  PADDOCK_TRY(auto hierarchy, cgroups::Hierarchy::open(config.runtime.cgroup));
  if (const auto &missing = hierarchy.missing_controllers(); !missing.empty()) {
    std::string names;
    for (const auto &name : missing) names += (names.empty() ? "" : ", ") + name;
    if (!config.runtime.allow_missing_controllers) {
      [[maybe_unused]] const auto removed = hierarchy.remove();
      return Error{"this host's cgroup v2 lacks the controllers " + names +
                   ": limits on them cannot be enforced; boot with pure cgroup v2 "
                   "(systemd.unified_cgroup_hierarchy=1), "
                   "or set runtime.allow_missing_controllers = true to run without"};
    }
    log::warning("NOT ENFORCED on this host, its cgroup v2 lacks the controllers: " + names);
  }
  PADDOCK_TRY(BlockList blocks, BlockList::load(config.runtime.state_dir + "/blocks"));
  PADDOCK_TRY(BlockList throttles, BlockList::load(config.runtime.state_dir + "/throttles"));
  PADDOCK_TRY(BlockList freezes, BlockList::load(config.runtime.state_dir + "/freezes"));
  PADDOCK_TRY(const policies::SocketKey key, policies::load_or_create_socket_key(config.runtime.state_dir));

  std::unique_ptr<Supervisor> self(new Supervisor(std::move(config), std::move(hierarchy), std::move(blocks),
                                                  std::move(throttles), std::move(freezes), std::move(lock),
                                                  key, std::move(manager), hand_over));
  self->opener_ = std::move(opener);
  PADDOCK_CHECK(self->prepare_sockets());
  self->apply_settings();
  self->watch_pressure();
  // Whoever has the host's network, or none, is served all the same.
  if (const auto done = self->networks_.configure(*self->config_); !done) log::error(done.error().message());
  self->accountant_.start();
  self->enforcer_.restore();
  self->try_plans();
  PADDOCK_CHECK(self->start_programs(program_dir));
  for (const auto &[name, settings] : self->config_->tenants) PADDOCK_CHECK(self->add_tenant(name));
  self->manager_.drop_stored();
  self->adopt_left_overs();
  PADDOCK_TRY(self->control_,
              ControlServer::start(self->io_, policies::control_socket_path(self->runtime_),
                                   [self = self.get()](const Peer &peer, const std::string &line) {
                                     return answer_command(*self, peer, line);
                                   }));
  self->start_dashboard(program_dir);
  return self;
}

Supervisor::Supervisor(policies::Config config, cgroups::Hierarchy hierarchy, BlockList blocks,
                       BlockList throttles, BlockList freezes, UniqueFd lock,
                       const policies::SocketKey &socket_key, ServiceManager manager, bool hand_over)
    : signals_(io_, SIGTERM, SIGINT, SIGHUP),
      left_over_timer_(io_),
      stop_timer_(io_),
      config_(std::make_shared<policies::Config>(std::move(config))),
      runtime_(config_->runtime),
      hierarchy_(std::move(hierarchy)),
      blocks_(std::move(blocks)),
      throttles_(std::move(throttles)),
      freezes_(std::move(freezes)),
      accountant_(io_, runtime_.state_dir),
      enforcer_(io_, accountant_, [this](const std::string &name) { return find(name); }),
      announcer_(io_),
      lock_(std::move(lock)),
      manager_(std::move(manager)),
      watchdog_timer_(io_),
      hand_over_(hand_over && manager_.present()),
      socket_key_(socket_key),
      opcaches_(io_),
      networks_(io_) {
  signals_.add(SIGUSR1);
  accountant_.on_use(
      [this](const std::string &tenant, accounting::Time end, std::chrono::milliseconds length,
             const accounting::Usage &usage) { enforcer_.observe(tenant, end, length, usage); });
  accountant_.on_event([this](const accounting::Event &event) { announcer_.happened(event); });
}

Supervisor::~Supervisor() = default;

void Supervisor::apply_settings() {
  const policies::Runtime &runtime = config_->runtime;
  accounting::EventRetention events;
  events.age = runtime.keep_events;
  accountant_.set_retention(
      {.minutes = runtime.keep_minutes, .hours = runtime.keep_hours, .days = runtime.keep_days}, events);
  enforcer_.set_rules(*config_);
  announcer_.set(*config_);
  opcaches_.set_limit(runtime.opcache_kept.value_or(host_memory() / kKeptShare));
}

void Supervisor::watch_pressure() {
  auto watched = MemoryPressure::watch(io_, [this] { relieve_host(); });
  if (!watched)
    return log::info("the host's shortage of memory is not noticed: " + watched.error().message());
  pressure_ = std::move(*watched);
}

// What costs its tenant least goes first: compiled scripts without a sandbox, then sandboxes that are idle,
// of both those that were used longest ago.
void Supervisor::relieve_host() {
  const std::size_t before = opcaches_.size();
  if (opcaches_.relieve())
    return log::warning("the host is short of memory: " + std::to_string(before - opcaches_.size()) +
                        " opcode caches of tenants without a sandbox are dropped");
  std::vector<std::pair<std::uint64_t, Tenant *>> idle;
  for (const auto &name : accountant_.running())
    if (Tenant *tenant = find(name); tenant != nullptr && tenant->run() != nullptr)
      idle.emplace_back(tenant->run()->board()->last_end_ns.load(std::memory_order_relaxed), tenant);
  std::sort(idle.begin(), idle.end());
  const std::size_t wanted = (idle.size() + kReliefShare - 1) / kReliefShare;
  std::size_t stopped = 0;
  for (const auto &[last, tenant] : idle)
    if (stopped < wanted && tenant->stop_idle()) ++stopped;
  if (stopped > 0)
    log::warning("the host is short of memory: " + std::to_string(stopped) + " idle sandboxes are stopped");
}

void Supervisor::try_plans() {
  refused_plans_ = try_limits(hierarchy_, *config_);
  for (const auto &[name, refusal] : refused_plans_) log::error(refusal.message());
}

Result<void> Supervisor::start_programs(const std::string &program_dir) {
  const std::vector<std::string> environment{
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"};
  const std::string link_fd = std::to_string(HelperProgram::kLinkFd);

  SpawnOptions gateway;
  // Opened here: the gateway's account cannot search the directory above it.
  PADDOCK_TRY(spool_, open_file(spool_path(runtime_), O_PATH | O_DIRECTORY));
  PADDOCK_CHECK(open_inheritance());
  gateway.fds = {{spool_, kSpoolFd},
                 {refusal_reports_, kReportsFd},
                 {inheritance_.first, kInheritanceFd},
                 {inheritance_.second, kInheritanceFd + 1}};
  gateway.arguments = {program_dir + "/paddock-gateway",
                       "--link-fd",
                       link_fd,
                       "--spool-fd",
                       std::to_string(kSpoolFd),
                       "--reports-fd",
                       std::to_string(kReportsFd),
                       "--inheritance-fds",
                       std::to_string(kInheritanceFd),
                       std::to_string(kInheritanceFd + 1)};
  gateway.environment = environment;
  gateway.uid = runtime_.gateway_uid;
  gateway.gid = runtime_.gateway_gid;
  gateway.cgroup = hierarchy_.gateway().directory();
  gateway_ = std::make_unique<Gateway>(
      io_, std::move(gateway),
      Gateway::Callbacks{.on_up =
                             [this] {
                               for (const auto &[name, tenant] : tenants_) tenant->introduce_to_gateway();
                             },
                         .on_wake =
                             [this](std::uint32_t number) {
                               const auto found = by_number_.find(number);
                               if (found != by_number_.end()) found->second->wake();
                             },
                         .on_refused =
                             [this](std::uint32_t number, const std::string &reason, std::uint64_t requests) {
                               const auto found = by_number_.find(number);
                               if (found != by_number_.end()) found->second->count_refused(reason, requests);
                             },
                         .on_waiting =
                             [this](const gateway_link::Waiting &waiting) {
                               const auto found = by_number_.find(waiting.tenant);
                               if (found != by_number_.end()) found->second->count_waiting(waiting);
                             }});

  SpawnOptions zygote;
  zygote.environment = environment;
  zygote.cgroup = hierarchy_.zygote().directory();
  zygotes_ = std::make_unique<Zygotes>(io_, std::move(zygote), program_dir,
                                       [this](std::uint64_t instance) { opcaches_.drop_of(instance); });

  PADDOCK_CHECK(start_mail(program_dir));
  services_ = std::make_unique<Services>(Services{
      io_, runtime_, hierarchy_, blocks_, throttles_, freezes_, *gateway_, *zygotes_, opcaches_, accountant_,
      manager_, networks_, opener_ ? &*opener_ : nullptr, mail_.get(), program_dir + "/paddock-sendmail"});
  watch_opener();
  gateway_->cap_requests(config_->apache_requests);
  gateway_->start();
  zygotes_->want(*config_);
  return {};
}

// In the service manager's store as the listening sockets are: what a gateway that died with us held is there
// for the next.
Result<void> Supervisor::open_inheritance() {
  const std::string in = "_inheritance-in";  // no tenant's name begins so
  const std::string out = "_inheritance-out";
  auto known_in = manager_.take(in);
  auto known_out = manager_.take(out);
  if (known_in && known_out) {
    inheritance_ = {std::move(*known_in), std::move(*known_out)};
    return {};
  }
  PADDOCK_TRY(auto ends, MessageSocket::pair());
  inheritance_ = {std::move(ends.first).take(), std::move(ends.second).take()};
  manager_.store(in, inheritance_.first);
  manager_.store(out, inheritance_.second);
  return {};
}

Result<void> Supervisor::start_mail(const std::string &program_dir) {
  const auto &settings = config_->mail;
  if (settings.command.empty()) return {};
  const std::string spool = runtime_.state_dir + "/mail";
  PADDOCK_CHECK(make_directories(spool, 0700));
  if (::chown(spool.c_str(), settings.uid, settings.gid) != 0) return errno_error("chown " + spool);
  PADDOCK_TRY(mail_spool_, open_file(spool, O_PATH | O_DIRECTORY));
  MailBroker::Setup setup;
  setup.program.arguments = {program_dir + "/paddock-mail", "--link-fd",
                             std::to_string(HelperProgram::kLinkFd), "--spool-fd", std::to_string(kSpoolFd)};
  setup.program.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"};
  setup.program.fds = {{mail_spool_, kSpoolFd}};
  setup.program.uid = settings.uid;
  setup.program.gid = settings.gid;
  setup.program.cgroup = hierarchy_.mail().directory();
  setup.command = settings.command;
  setup.cgroup = hierarchy_.mail().directory();
  setup.socket_directory = runtime_.run_dir + "/mail";
  // Root's alone: what a view shows of it, it shows by a mount.
  PADDOCK_CHECK(prepare_socket_directory(setup.socket_directory, 0));
  mail_ = std::make_unique<MailBroker>(
      io_, std::move(setup),
      MailBroker::Callbacks{
          .on_message = [this](const std::string &tenant, bool sent) { accountant_.mailed(tenant, sent); },
          .on_refused =
              [this](const std::string &tenant, const std::string &reason, std::uint64_t messages) {
                accountant_.note(
                    accounting::EventKind::kMailRefused, tenant, {},
                    reason + (messages > 1 ? " (" + std::to_string(messages) + " messages)" : ""));
              }});
  mail_->start();
  return {};
}

// The sockets that a predecessor left in the service manager's store keep their files; connections wait in
// them.
Result<void> Supervisor::prepare_sockets() {
  std::set<std::string> kept;
  std::filesystem::path directory;
  const auto file_of = [&](const std::string &name) {
    return std::filesystem::path(policies::socket_path(runtime_, socket_key_, name));
  };
  for (const auto &[name, fd] : manager_.stored())
    if (config_->tenants.contains(name)) kept.insert(file_of(name).filename().string());
  PADDOCK_CHECK(prepare_socket_directory(file_of("any").parent_path().string(), config_->apache_gid, kept));
  PADDOCK_TRY(refusal_reports_, bind_datagrams(policies::refusal_socket_path(runtime_), config_->apache_gid));
  return {};
}

// What it may take at most, whatever its clients do.
constexpr cgroups::Limits kDashboardLimits{.cpu_percent = 100,
                                           .cpu_weight = 20,
                                           .memory_high = {},
                                           .memory_max = 256ULL << 20,
                                           .swap_max = 0,
                                           .pids_max = 16,
                                           .io_weight = {},
                                           .io = {}};

void Supervisor::start_dashboard(const std::string &program_dir) {
  const auto &settings = config_->dashboard;
  if (settings.listen.empty() || !settings.start) return;
  if (const auto limited = hierarchy_.dashboard().set_limits(kDashboardLimits); !limited)
    log::warning(limited.error().message());
  SpawnOptions options;
  options.arguments = {program_dir + "/paddock-dashboard",
                       "--link-fd",
                       std::to_string(HelperProgram::kLinkFd),
                       "--control",
                       policies::control_socket_path(runtime_),
                       "--listen",
                       settings.listen,
                       "--public-url",
                       settings.public_url};
  options.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"};
  options.uid = settings.uid;
  options.gid = settings.gid;
  options.cgroup = hierarchy_.dashboard().directory();
  dashboard_ = std::make_unique<HelperProgram>(
      io_, "paddock-dashboard", std::move(options),
      HelperProgram::Callbacks{.on_packet = [](Packet &) {}, .on_down = [] {}});
  dashboard_->start();
}

Result<void> Supervisor::add_tenant(const std::string &name) {
  const policies::Tenant &settings = *config_->tenants.at(name);
  if (!settings.problem.empty()) log::warning("tenant " + name + " cannot run: " + settings.problem);
  const std::string path = policies::socket_path(runtime_, socket_key_, name);
  std::optional<UniqueFd> kept;
  struct stat status {};
  // Without its file nobody reaches a socket.
  if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) kept = manager_.take_listener(name);
  UniqueFd listener;
  if (kept) {
    listener = std::move(*kept);
  } else {
    manager_.drop(name);
    PADDOCK_TRY(listener, listen_at(path, config_->apache_gid));
    manager_.store(name, listener);
  }
  auto tenant =
      std::make_unique<Tenant>(*services_, next_number_++, name, config_, std::move(listener), path);
  by_number_.emplace(tenant->number(), tenant.get());
  tenants_.emplace(name, std::move(tenant));
  return {};
}

void Supervisor::watch_opener() {
  if (!opener_) return;
  opener_watch_ = ChildWatch::start(io_, opener_->take_child(), [this](const ExitStatus &status) {
    log::warning("the process that opens homes ended: " + status.to_string() +
                 "; from now on the supervisor is forked for it");
    services_->opener = nullptr;
    opener_watch_.reset();
  });
}

void Supervisor::adopt_left_overs() {
  const auto names = hierarchy_.leftovers();
  if (!names) return log::error(names.error().message());
  for (const auto &name : *names) {
    const Tenant *tenant = find(name);
    const bool keep = tenant != nullptr && tenant->block_in_force() == nullptr;
    log::info("found the sandbox of " + name + " from an earlier run" +
              (keep ? "; it finishes its requests" : ""));
    // Its keeper has seen our predecessor's end of the link close and lets running requests finish; what is
    // not done in time, or nobody's any more, is killed.
    hold_until_empty(name, keep ? runtime_.stop_patience : std::chrono::milliseconds(0));
  }
  watch_left_overs();
}

void Supervisor::hold_until_empty(const std::string &name, std::chrono::milliseconds patience) {
  auto cgroup = hierarchy_.tenant(name);
  if (!cgroup) return log::error(cgroup.error().message());
  const auto frozen = cgroup->frozen();
  if (!frozen || *frozen) patience = std::chrono::milliseconds(0);  // what is frozen finishes nothing
  if (Tenant *tenant = find(name)) tenant->hold_for_left_over();
  left_overs_.push_back({name, std::move(*cgroup), std::chrono::steady_clock::now() + patience});
}

void Supervisor::watch_left_overs() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(left_overs_, [&](const LeftOver &left) {
    const auto populated = left.cgroup.populated();
    if (populated && *populated) {
      if (now >= left.deadline)
        if (const auto killed = left.cgroup.kill(); !killed) log::error(killed.error().message());
      return false;
    }
    if (const auto removed = left.cgroup.remove(std::chrono::milliseconds(0)); !removed) return false;
    const auto found = tenants_.find(left.tenant);
    if (found != tenants_.end()) found->second->left_over_gone();
    return true;
  });
  if (left_overs_.empty()) return;
  left_over_timer_.expires_after(kLeftOverPoll);
  left_over_timer_.async_wait([this](const boost::system::error_code &error) {
    if (!error) watch_left_overs();
  });
}

Tenant *Supervisor::find(const std::string &name) {
  const auto found = tenants_.find(name);
  return found == tenants_.end() ? nullptr : found->second.get();
}

Supervisor::Tenants::iterator Supervisor::remove_tenant(Tenants::iterator position) {
  auto &tenant = position->second;
  by_number_.erase(tenant->number());
  ::unlink(tenant->socket_path().c_str());
  manager_.forget(tenant->settings().name);
  tenant->leave([this] { std::erase_if(leaving_, [](const auto &gone) { return gone->run() == nullptr; }); });
  if (tenant->run() != nullptr) leaving_.push_back(std::move(tenant));
  return tenants_.erase(position);
}

void Supervisor::run() {
  log::info("serving " + std::to_string(tenants_.size()) + " tenants of " + config_->file);
  wait_for_signal();
  tell_manager_we_live();
  manager_.ready();
  io_.run();
  // It ends with its link. Waited for, so that a service manager finds nobody left.
  opener_.reset();
  if (!opener_watch_) return;
  pollfd ended{opener_watch_->child().pidfd().get(), POLLIN, 0};
  [[maybe_unused]] const int ready = ::poll(&ended, 1, 1000);
}

void Supervisor::tell_manager_we_live() {
  if (!manager_.watchdog()) return;
  manager_.alive();
  watchdog_timer_.expires_after(*manager_.watchdog() / 2);
  watchdog_timer_.async_wait([this](const boost::system::error_code &error) {
    if (!error) tell_manager_we_live();
  });
}

void Supervisor::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code &error, int number) {
    if (error) return;
    if (number == SIGHUP) {
      manager_.reloading();
      if (const auto reloaded = reload(); !reloaded) log::error("reload: " + reloaded.error().message());
      manager_.ready();
    } else if (number == SIGUSR1) {
      log::reopen();
    } else {
      begin_stop();
    }
    wait_for_signal();
  });
}

void Supervisor::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  log::info(hand_over_ ? "stopping; running requests are left to finish" : "stopping");
  manager_.stopping();
  control_->stop();
  if (dashboard_) dashboard_->kill();
  pressure_.reset();
  for (const auto &[name, tenant] : tenants_) tenant->retire();
  finish_stop_when_quiet();
}

void Supervisor::finish_stop_when_quiet() {
  const auto quiet = [](const auto &tenant) { return tenant->run() == nullptr; };
  const bool all_quiet =
      std::all_of(tenants_.begin(), tenants_.end(), [&](const auto &entry) { return quiet(entry.second); }) &&
      std::all_of(leaving_.begin(), leaving_.end(), quiet) && left_overs_.empty();
  if (all_quiet || hand_over_) {
    for (const auto &[name, tenant] : tenants_) tenant->leave_handoff();
    for (const auto &tenant : leaving_) tenant->leave_handoff();
    gateway_->stop();
    zygotes_->stop();
    if (mail_) mail_->stop();
    if (!gateway_->program().running() && !zygotes_->running() && !(dashboard_ && dashboard_->running()) &&
        !(mail_ && mail_->program().running())) {
      leave();
      return;
    }
  }
  stop_timer_.expires_after(kStopPoll);
  stop_timer_.async_wait([this](const boost::system::error_code &error) {
    if (!error) finish_stop_when_quiet();
  });
}

void Supervisor::leave() {
  ::unlink(policies::refusal_socket_path(runtime_).c_str());
  opcaches_.drop_all();
  if (!hand_over_) {
    for (const auto &[name, tenant] : tenants_) ::unlink(tenant->socket_path().c_str());
    if (const auto removed = hierarchy_.remove(); !removed) log::warning(removed.error().message());
  }
  networks_.leave(hand_over_);
  accountant_.stop();
  log::info("stopped");
  io_.stop();
}

}  // namespace paddock::supervisor
