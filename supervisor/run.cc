#include "supervisor/run.h"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/monotonic.h"
#include "supervisor/inherited_environment.h"

namespace paddock::supervisor {
namespace {

using std::chrono::milliseconds;

// Emptying a cgroup takes the kernel a moment after the last process has been reaped; these are the waits
// between the attempts to remove it, doubled each time.
constexpr milliseconds kFirstRemovalWait{1};
constexpr int kRemovalAttempts = 14;  // 16 s in all
// For a sandbox of which nothing is known but that it may be there.
constexpr milliseconds kLostPoll{20};
constexpr milliseconds kLostPatience{10'000};
// From the clone to the keeper's Ready.
constexpr std::chrono::seconds kStartPatience{10};
constexpr int kKeepingAttempts = 8;  // a quarter of a second

std::uint32_t milliseconds_of(std::chrono::milliseconds duration) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(duration.count(), 0, UINT32_MAX));
}

template <typename T>
void append(std::vector<T> &to, const std::vector<T> &from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

zygote_link::Spawn Run::spawn_message(const policies::Tenant &tenant, const policies::Plan &plan) {
  zygote_link::Spawn spawn;
  spawn.name = tenant.name;
  spawn.uid = tenant.uid;
  spawn.gid = tenant.gid;
  spawn.user = tenant.user;
  spawn.home = tenant.home;
  spawn.workers_max = plan.workers;
  spawn.idle_ms = milliseconds_of(plan.idle);
  spawn.requests_per_worker = plan.requests_per_worker;
  spawn.tmp_bytes = plan.tmp_bytes;
  spawn.log_bytes = plan.log_bytes;
  spawn.ini_from_web = static_cast<zygote_link::IniFromWeb>(plan.ini_from_web);
  spawn.serving.htaccess = plan.serving.htaccess;
  spawn.serving.deadline_ms = milliseconds_of(plan.deadline);
  spawn.serving.slow_ms = milliseconds_of(plan.serving.slow);
  spawn.serving.repairs = plan.serving.repairs;
  spawn.serving.status_path = plan.serving.status_path;
  spawn.serving.ping_path = plan.serving.ping_path;
  spawn.serving.ping_response = plan.serving.ping_response;
  if (plan.serving.access_log)
    spawn.serving.access = {plan.serving.access_format, plan.serving.access_suppress};
  spawn.emergency_deaths = plan.emergency_restart;
  spawn.emergency_ms = milliseconds_of(plan.emergency_restart_interval);
  for (const auto *entries : {&plan.ini, &tenant.ini})
    for (const auto &entry : *entries) spawn.ini.push_back({entry.name, entry.value, entry.admin});
  if (plan.opcache_files)
    spawn.ini.push_back(
        {std::string(zygote_link::kOpcacheFiles), tenant.home + "/.cache/paddock/opcache", true});
  spawn.program.kind = static_cast<zygote_link::Kind>(tenant.program.kind);
  spawn.program.command = tenant.program.command;
  spawn.program.listen = tenant.program.listen;
  if (!plan.clear_env) append(spawn.environment, inherited_environment());
  append(spawn.environment, resolved(plan.environment));
  append(spawn.environment, resolved(tenant.environment));
  for (const auto *binds : {&plan.binds, &tenant.binds})
    for (const auto &bind : *binds)
      spawn.binds.push_back({bind.source, bind.target, bind.writable, false, bind.optional, bind.noexec,
                             bind.nosuid, bind.nodev});
  spawn.own_start = plan.own_start;
  spawn.opcache_mib = plan.opcache_mib;
  if (plan.seccomp_filter) spawn.seccomp = *plan.seccomp_filter;
  spawn.network = static_cast<zygote_link::Network>(plan.network);
  return spawn;
}

Run::Run(boost::asio::io_context &io, std::shared_ptr<Zygote> zygote, const zygote_link::Spawn &spawn,
         cgroups::Cgroup cgroup, Callbacks callbacks)
    : io_(io),
      zygote_(std::move(zygote)),
      name_(spawn.name),
      workers_max_(std::min<std::uint32_t>(spawn.workers_max, scoreboard::kMaxWorkers)),
      cgroup_(std::move(cgroup)),
      callbacks_(std::move(callbacks)),
      removal_timer_(io),
      patience_timer_(io) {}

Run::~Run() {
  if (link_) link_->close();
}

OpenTrees Run::trees_of(const zygote_link::Spawn &spawn, const std::optional<network::TenantLink> &link) {
  OpenTrees wanted;
  wanted.requests = {{spawn.home, {.directory = true, .writable = true, .follow = true, .owner = spawn.uid}}};
  for (const auto &bind : spawn.binds)
    wanted.requests.push_back({bind.source,
                               {.directory = false,
                                .writable = bind.writable,
                                .noexec = bind.noexec,
                                .nosuid = bind.nosuid,
                                .nodev = bind.nodev,
                                .owner = {}},
                               bind.may_be_missing});
  if (link) wanted.networks.push_back(*link);
  return wanted;
}

Result<std::shared_ptr<Run>> Run::start(boost::asio::io_context &io, std::shared_ptr<TreeOpener> opener,
                                        std::shared_ptr<Zygote> zygote, zygote_link::Spawn spawn,
                                        BorrowedFd listener, TenantLogs logs, cgroups::Cgroup cgroup,
                                        std::string interface, OpcacheFiles opcache, Callbacks callbacks) {
  std::shared_ptr<Run> run(new Run(io, std::move(zygote), spawn, std::move(cgroup), std::move(callbacks)));
  run->opcache_ = std::move(opcache);
  const auto give_up = [&run](const Error &error) {
    [[maybe_unused]] const auto removed = run->cgroup_.remove(milliseconds(0));
    return error;
  };

  if (spawn.seccomp.empty()) return give_up(Error{"no seccomp filter for the sandbox of " + spawn.name});
  auto board = scoreboard::create_board(spawn.name);
  if (!board) return give_up(board.error());
  auto mapped = scoreboard::MappedBoard::map(*board, false);
  if (!mapped) return give_up(mapped.error());
  auto admission = AdmissionLink::create(spawn.name, *board);
  if (!admission) return give_up(admission.error());
  auto ends = MessageSocket::pair();
  if (!ends) return give_up(ends.error());

  const auto duplicate = [](BorrowedFd fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); };
  std::vector<UniqueFd> fds(zygote_link::kHomeTree);
  fds[zygote_link::kListen] = duplicate(listener);
  fds[zygote_link::kKeeperLink] = std::move(ends->second).take();
  fds[zygote_link::kTenantLog] = std::move(logs.log);
  fds[zygote_link::kAccessLog] = std::move(logs.access);
  fds[zygote_link::kScoreboard] = std::move(*board);
  fds[zygote_link::kPage] = admission->take_page();
  fds[zygote_link::kHandoff] = admission->take_handoff();
  fds[zygote_link::kCgroup] = duplicate(run->cgroup_.directory());
  if (std::any_of(fds.begin(), fds.end(), [](const UniqueFd &fd) { return !fd.valid(); }))
    return give_up(errno_error("duplicate a descriptor for the sandbox of " + spawn.name));

  run->board_ = std::move(*mapped);
  run->admission_ = std::move(*admission);
  // The run holds its link and its watch, and they call back into it: weakly, or none of the three would ever
  // go.
  const std::weak_ptr<Run> weak = run;
  run->link_ = Link::start(
      io, std::move(ends->first),
      [weak](Packet &packet) {
        if (const auto self = weak.lock()) self->on_packet(packet);
      },
      // A keeper closes its link by ending; that, its watch reports.
      [](const Error &) {});
  run->prepared_ = {std::move(spawn), std::move(fds)};
  run->interface_ = std::move(interface);
  run->opener_ = std::move(opener);
  run->opener_->then([weak](Result<std::vector<UniqueFd>> trees) {
    if (const auto self = weak.lock()) self->opened(std::move(trees));
  });
  return run;
}

void Run::opened(Result<std::vector<UniqueFd>> trees) {
  opener_.reset();
  if (!link_) return;
  if (!trees) return ended(trees.error().message());
  auto [spawn, fds] = std::exchange(prepared_, {});
  if (!interface_.empty()) {
    network_.reset(::fcntl(trees->back().get(), F_DUPFD_CLOEXEC, 0));
    if (!network_.valid()) return ended(errno_error("duplicate a network namespace").message());
  }
  // The home is the first; what is missing and may be is nobody's any more.
  for (std::size_t i = trees->size(); i-- > 1;)
    if (!(*trees)[i].valid()) spawn.binds.erase(spawn.binds.begin() + static_cast<std::ptrdiff_t>(i) - 1);
  for (auto &tree : *trees)
    if (tree.valid()) fds.push_back(std::move(tree));
  const std::weak_ptr<Run> weak = weak_from_this();
  if (spawn.own_start) {
    zygote_ = zygote_->another();
    zygote_->start();
  }
  if (const auto added = add_opcache(spawn, fds); !added) return ended(added.error().message());
  request_ = zygote_->request(std::move(spawn), std::move(fds),
                              {.on_spawned =
                                   [weak](Child keeper) {
                                     if (const auto self = weak.lock()) self->spawned(std::move(keeper));
                                   },
                               .on_failed =
                                   [weak](const Error &error) {
                                     if (const auto self = weak.lock()) self->clone_lost(error.message());
                                   }});
}

// While the zygote is down nothing is known of its regions: then the keeper makes files of its own, as it
// does where the zygote is for this sandbox alone.
Result<void> Run::add_opcache(zygote_link::Spawn &spawn, std::vector<UniqueFd> &fds) {
  const std::uint64_t zygote = zygote_->instance();
  spawn.opcache_filled = !opcache_.files.empty() && opcache_.zygote == zygote;
  if (!spawn.opcache_filled) {
    opcache_ = {};
    if (zygote == 0 || zygote_->opcache_bytes().empty()) return {};
    PADDOCK_TRY(opcache_, OpcacheFiles::make(zygote, zygote_->opcache_bytes()));
  }
  PADDOCK_TRY(auto copies, opcache_.duplicate());
  spawn.opcache_files = static_cast<std::uint8_t>(copies.size());
  fds.insert(fds.begin() + zygote_link::kFixedFds, std::make_move_iterator(copies.begin()),
             std::make_move_iterator(copies.end()));
  return {};
}

void Run::spawned(Child keeper) {
  zygote_.reset();
  // Of what is mounted in it a file server may hold the process that builds its view.
  if (!ready_ && !end_.asked) {
    patience_timer_.expires_after(kStartPatience);
    patience_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code &error) {
      const auto self = weak.lock();
      if (error || !self || self->ready_ || self->end_.asked || !self->watch_) return;
      if (self->end_.why.empty())
        self->end_.why = "build the sandbox of " + self->name_ + ": it does not stand after " +
                         std::to_string(kStartPatience.count()) + " s";
      [[maybe_unused]] const auto killed = self->watch_->child().signal(SIGKILL);
    });
  }
  watch_ = ChildWatch::start(io_, std::move(keeper), [weak = weak_from_this()](const ExitStatus &status) {
    const auto self = weak.lock();
    if (!self) return;
    self->ended_in_order_ = !status.signaled && status.code == 0;
    self->ended("the keeper ended: " + status.to_string());
  });
  callbacks_.on_cloned();
}

// There may be a sandbox all the same, and it may be serving: with its link closed it finishes its requests
// and ends.
void Run::clone_lost(const std::string &why) {
  if (!link_) return;
  link_->close();
  const auto now = Clock::now();
  if (lost_at_ == Clock::time_point{}) lost_at_ = now;
  const auto populated = cgroup_.populated();
  if (!populated || !*populated || now - lost_at_ >= kLostPatience) return ended(why);
  patience_timer_.expires_after(kLostPoll);
  patience_timer_.async_wait([weak = weak_from_this(), why](const boost::system::error_code &error) {
    const auto self = weak.lock();
    if (!error && self) self->clone_lost(why);
  });
}

void Run::on_packet(Packet &packet) {
  // From a sandbox: every message is checked, and what is none is that tenant's loss only.
  switch (packet.type()) {
    case keeper_link::Ready::kType:
      if (const auto ready = packet.as<keeper_link::Ready>(); ready && !ready_) {
        ready_ = end_.was_ready = true;
        if (!end_.asked) patience_timer_.cancel();
        log::debug(name_ + ": the sandbox is ready, view after " + std::to_string(ready->view_us) +
                   " µs, all after " + std::to_string(ready->total_us) + " µs");
        callbacks_.on_ready();
      }
      return;
    case keeper_link::Failed::kType:
      if (const auto failed = packet.as<keeper_link::Failed>(); failed && end_.why.empty())
        end_.why = errno_error(log::quoted(failed->step), failed->error).message();
      return;
    case keeper_link::Idle::kType:
      if (ready_) callbacks_.on_idle();
      return;
    case keeper_link::WorkerDied::kType:
      if (const auto died = packet.as<keeper_link::WorkerDied>(); died)
        callbacks_.on_worker_died(ExitStatus{died->signaled, died->code});
      return;
    default:
      log::warning(name_ + ": the keeper sent a message of unknown type");
      return;
  }
}

std::vector<Run::RunningRequest> Run::running_requests() const {
  const std::uint64_t now_ns = monotonic_ns();
  std::vector<RunningRequest> running;
  for (std::uint32_t i = 0; i < workers_max_; ++i) {
    auto slot = scoreboard::read_slot(board_->slots[i]);
    if (slot.state != scoreboard::State::kBusy) continue;
    const std::uint64_t age_ns = slot.since_ns < now_ns ? now_ns - slot.since_ns : 0;
    running.push_back({std::move(slot), std::chrono::milliseconds(age_ns / 1'000'000)});
  }
  return running;
}

std::optional<network::Traffic> Run::traffic() const {
  if (!network_.valid()) return std::nullopt;
  const auto traffic = network::traffic_of(interface_);
  if (!traffic) return std::nullopt;
  return *traffic;
}

void Run::drain(std::chrono::milliseconds patience, bool keep_opcache) {
  end_.asked = true;
  keep_opcache_ = keep_opcache;
  // One that the zygote is at may be serving before we hear of it. Its keeper finds the order when it comes.
  if (!watch_ && !(zygote_ && zygote_->under_way(request_))) return kill();
  link_->send(keeper_link::Drain{milliseconds_of(patience)});
  // The keeper keeps to the patience by itself; if it does not, something in there is stronger than it.
  patience_timer_.expires_after(patience + std::chrono::seconds(2));
  patience_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code &error) {
    const auto self = weak.lock();
    if (error || !self) return;
    log::warning(self->name_ + ": did not end in time and is killed");
    self->kill();
  });
}

void Run::kill() {
  end_.asked = true;
  drop_opcache();
  if (const auto lifted = cgroup_.lift_cpu_quota(); !lifted)
    log::warning(name_ + ": " + lifted.error().message());
  if (const auto killed = cgroup_.kill(); !killed) log::error(name_ + ": " + killed.error().message());
  if (!watch_ && link_) {
    // Not cloned yet, as far as we know: whatever comes of it, nobody waits for it.
    zygote_->forget(request_);
    ended("killed before it started");
  }
}

void Run::set_limits(const keeper_link::SetLimits &limits) {
  // Never less than there were: those that are too many end with their requests.
  workers_max_ = std::max(workers_max_, std::min<std::uint32_t>(limits.workers_max, scoreboard::kMaxWorkers));
  if (link_) link_->send(limits);
}

void Run::ended(const std::string &why) {
  if (!link_) return;
  patience_timer_.cancel();
  link_->close();
  link_.reset();
  opener_.reset();
  prepared_ = {};
  zygote_.reset();
  if (end_.why.empty()) end_.why = why;
  if (watch_) callbacks_.on_dead(end_);
  watch_.reset();
  remove_cgroup(0);
}

void Run::remove_cgroup(int attempt) {
  const auto removed = [this, attempt]() -> Result<void> {
    // Nobody is killed in a cgroup that is kept: where cgroup.kill has once been written, Linux 6.18 kills
    // whatever is cloned into it by CLONE_INTO_CGROUP, for it compares with the kills of the parent's.
    if (leaves_opcache()) {
      PADDOCK_TRY(const bool populated, cgroup_.populated());
      if (!populated) return {};
      if (attempt < kKeepingAttempts) return errno_error("leave the cgroup of " + name_, EBUSY);
      drop_opcache();
    }
    // Whatever is left in there outlived pid 1 only if it was never in its namespace: a shell of the admin's.
    PADDOCK_CHECK(cgroup_.kill());
    return cgroup_.remove(milliseconds(0));
  }();
  if (!removed && attempt < kRemovalAttempts) {
    removal_timer_.expires_after(kFirstRemovalWait * (1 << attempt));
    removal_timer_.async_wait([self = shared_from_this(), attempt](const boost::system::error_code &error) {
      if (!error) self->remove_cgroup(attempt + 1);
    });
    return;
  }
  if (!removed) {
    log::error(name_ + ": its cgroup stays behind: " + removed.error().message());
    drop_opcache();
  }
  // The last reference may go with the call-back.
  const auto keep = shared_from_this();
  callbacks_.on_end(end_);
}

std::optional<KeptOpcache> Run::take_opcache() {
  if (!leaves_opcache()) return std::nullopt;
  return KeptOpcache{std::exchange(opcache_, {}), std::move(cgroup_)};
}

}  // namespace paddock::supervisor
