#include "supervisor/tenant.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/file.h"
#include "base/latency_buckets.h"
#include "base/log.h"
#include "policies/socket_path.h"
#include "protocols/mail/submission.h"
#include "supervisor/admission_link.h"
#include "supervisor/limits.h"
#include "supervisor/listening_socket.h"

namespace paddock::supervisor {
namespace {

using gateway_link::Mode;

constexpr auto kWorkedForAWhile = std::chrono::seconds(1);
// Through a back-off shorter than this, connections wait in the backlog; through a longer one they are
// refused, so that a site that cannot start does not hold Apache's threads.
constexpr auto kLongBackOff = std::chrono::milliseconds(500);
// One that took as long to fail (a file server that does not answer) is not waited for again either.
constexpr auto kLongStart = std::chrono::seconds(5);

// PHP's default session.save_path. A sandbox that was idle and went must not log its visitors out, so the
// directory outlives it. Ours unless the config binds something there.
constexpr const char *kSessionPath = "/var/lib/php/sessions";

Result<void> add_session_directory(const policies::Runtime &runtime, zygote_link::Spawn &spawn) {
  for (const auto &bind : spawn.binds)
    if (bind.target == kSessionPath) return {};
  const std::string path = runtime.state_dir + "/sessions/" + spawn.name;
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return errno_error("mkdir " + path);
  // Usually it is right already; then a state_dir that has become read-only costs the sessions, not the site.
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno_error("stat " + path);
  if ((status.st_uid != spawn.uid || status.st_gid != spawn.gid) &&
      ::lchown(path.c_str(), spawn.uid, spawn.gid) != 0)
    return errno_error("chown " + path);
  spawn.binds.push_back({path, kSessionPath, true});
  return {};
}

// Whether `paddock shell` is in the sandbox. The keeper says Idle again after as long.
bool has_shell(const policies::Runtime &runtime, const std::string &tenant) {
  const UniqueFd file(
      ::open(policies::shell_lock_path(runtime, tenant).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return file.valid() && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::uint32_t seconds_until(std::chrono::system_clock::time_point when) {
  const auto left = std::chrono::ceil<std::chrono::seconds>(when - std::chrono::system_clock::now()).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, 86'400));
}

}  // namespace

Tenant::Tenant(Services &services, std::uint32_t number, const std::string &name,
               std::shared_ptr<const policies::Config> config, UniqueFd listener, std::string socket_path)
    : services_(services),
      number_(number),
      config_(std::move(config)),
      settings_(config_->tenants.at(name)),
      plan_(&config_->plan_of(*settings_)),
      listener_(std::move(listener)),
      socket_path_(std::move(socket_path)) {
  watch_block_end();
  watch_throttle_end();
  watch_freeze_end();
}

Tenant::~Tenant() {
  if (services_.mail != nullptr) services_.mail->forget(number_);
}

const policies::Plan &Tenant::plan_in_force(const policies::Config &config,
                                            const policies::Plan &plan) const {
  if (const Block *throttle = throttle_in_force(); throttle != nullptr)
    if (const auto found = config.plans.find(throttle->reason); found != config.plans.end())
      return found->second;
  return plan;
}

Result<void> Tenant::apply_limits() {
  if (!run_) return {};
  return set_limits(run_->cgroup(), plan_in_force(*config_, *plan_));
}

bool Tenant::refuses() const {
  return removed_ || block_in_force() != nullptr || frozen() || !settings_->problem.empty();
}

Mode Tenant::gateway_mode() const {
  if (refuses() || (state_ == State::kWaiting && long_back_off_)) return Mode::kRefuse;
  return state_ == State::kIdle && !left_over_ && !retired_ ? Mode::kWatch : Mode::kLeased;
}

gateway_link::Refusal Tenant::refusal() const {
  gateway_link::Refusal refusal;
  refusal.page = services_.runtime.refusal_page;
  refusal.tell_reason = services_.runtime.reason_header;
  if (removed_) {
    refusal.reason = "removed";
    refusal.retry_after_s = 300;
  } else if (const Block *block = block_in_force()) {
    refusal.reason = "blocked";
    if (block->until) refusal.retry_after_s = seconds_until(*block->until);
  } else if (frozen()) {
    refusal.reason = "frozen";
    const Block *freeze = freeze_in_force();
    refusal.retry_after_s = freeze->until ? seconds_until(*freeze->until) : 60;
  } else if (!settings_->problem.empty()) {
    refusal.reason = "unusable";
    refusal.retry_after_s = 300;
  } else {
    refusal.reason = "start-failed";
    refusal.retry_after_s = 5;
  }
  return refusal;
}

void Tenant::introduce_to_gateway() {
  waiting_.queue = waiting_.slow = waiting_.unread = 0;
  told_mode_ = gateway_mode();
  const auto refusal_now = told_mode_ == Mode::kRefuse ? refusal() : gateway_link::Refusal{};
  told_reason_ = refusal_now.reason;
  services_.gateway.add(number_, settings_->name, listener_, told_mode_, refusal_now);
  lease_to_run();
}

void Tenant::lease_to_run() {
  // A sandbox that is stopping takes nothing more.
  if (told_mode_ != Mode::kLeased || !run_ || state_ == State::kStopping) return;
  services_.gateway.lease(lease_message(number_, *plan_, services_.runtime), run_->admission().lease_fds());
}

void Tenant::update_gateway(bool anew) {
  const Mode mode = gateway_mode();
  const auto refusal_now = mode == Mode::kRefuse ? refusal() : gateway_link::Refusal{};
  if (!anew && mode == told_mode_ && refusal_now.reason == told_reason_) return;
  // A tenant's process that kept the listening socket could have made its backlog small, and a full backlog
  // blocks Apache's threads in connect(2); listen(2) again sets it back.
  ::listen(listener_.get(), kBacklog);
  told_mode_ = mode;
  told_reason_ = refusal_now.reason;
  services_.gateway.set_mode(number_, mode, refusal_now);
  lease_to_run();
}

void Tenant::become(State state) {
  // Before the sandbox is told: what the gateway hands over after that could find nobody.
  if (state == State::kStopping && told_mode_ == Mode::kLeased) services_.gateway.end_lease(number_);
  state_ = state;
  update_gateway();
}

void Tenant::wake() {
  // A connection can wait in the backlog while the state has already moved on; the state's own end sees to
  // it.
  if (state_ != State::kIdle || refuses() || left_over_ || retired_) return;
  if (const auto started = try_start(); !started) fail_start(started.error().message());
}

Result<void> Tenant::start() {
  if (block_in_force() != nullptr) return Error{settings_->name + " is blocked: " + block_in_force()->reason};
  if (frozen()) return Error{settings_->name + " is frozen"};
  if (!settings_->problem.empty()) return Error{settings_->problem};
  if (state_ == State::kStarting || state_ == State::kRunning) return {};
  if (state_ == State::kStopping || left_over_) return Error{settings_->name + " is still stopping"};
  const auto started = try_start();
  if (!started) fail_start(started.error().message());
  return started;
}

// mail() and /usr/sbin/sendmail of the view are ours, and lead to the mail broker.
Result<void> Tenant::show_mail(zygote_link::Spawn &spawn) {
  if (services_.mail == nullptr) return {};
  PADDOCK_TRY(const std::string socket, services_.mail->open(number_, *settings_, plan_->mail));
  spawn.binds.push_back({socket, mail::kSocketInView, false});
  spawn.binds.push_back({services_.mail_program, mail::kProgramInView, false});
  spawn.binds.push_back({services_.mail_program, mail::kSendmail, false, true});
  // In front of the plan's own, which may say otherwise.
  spawn.ini.insert(spawn.ini.begin(), {{"sendmail_path", std::string(mail::kProgramInView) + " -t -i", true},
                                       {"mail.add_x_header", "1", true}});
  return {};
}

Result<void> Tenant::try_start() {
  back_off_.started();
  auto started = begin_start();
  if (!started && services_.mail != nullptr) services_.mail->close(number_);
  return started;
}

Result<void> Tenant::begin_start() {
  const std::shared_ptr<Zygote> &zygote = services_.zygotes.of({php(), plan_->opcache_mib});
  if (const Error *missing = zygote->program().missing(); missing != nullptr)
    return Error{"PHP " + php().name + " is not there: " + missing->message()};
  auto spawn = Run::spawn_message(*settings_, *plan_);
  PADDOCK_CHECK(add_session_directory(services_.runtime, spawn));
  std::optional<network::TenantLink> link;
  if (plan_->network == policies::Network::kNat) {
    PADDOCK_TRY(link, services_.networks.link_for(*settings_, *plan_));
    spawn.resolver = format_ipv4(link->gateway);
    spawn.environment.push_back("PADDOCK_HOST=" + spawn.resolver);
  }
  PADDOCK_CHECK(show_mail(spawn));
  PADDOCK_TRY(auto opener, TreeOpener::start(services_.io, services_.opener, Run::trees_of(spawn, link)));
  PADDOCK_TRY(auto logs, open_tenant_logs(services_.runtime, *settings_, plan_->serving.access_log));
  auto kept = services_.opcaches.take(settings_->name, zygote->instance());
  PADDOCK_TRY(auto cgroup, services_.cgroups.tenant(settings_->name));
  if (const auto limited = set_limits(cgroup, plan_in_force(*config_, *plan_)); !limited) {
    [[maybe_unused]] const auto removed = cgroup.remove(std::chrono::milliseconds(0));
    return limited.error();
  }
  Run::Callbacks callbacks;
  callbacks.on_ready = [this] {
    if (state_ == State::kStarting) become(State::kRunning);
  };
  callbacks.on_idle = [this] {
    if (state_ == State::kRunning && !has_shell(services_.runtime, settings_->name)) begin_stop(true);
  };
  callbacks.on_worker_died = [this](const ExitStatus &status) {
    log::warning(settings_->name + ": a worker ended: " + status.to_string());
    services_.accountant.worker_died(settings_->name, status);
  };
  callbacks.on_cloned = [this] { services_.accountant.started(settings_->name, *run_); };
  callbacks.on_dead = [this](const RunEnd &end) { services_.accountant.ended(settings_->name, end); };
  callbacks.on_end = [this](const RunEnd &end) { run_ended(end); };
  PADDOCK_TRY(run_, Run::start(services_.io, std::move(opener), zygote, std::move(spawn), listener_,
                               std::move(logs), std::move(cgroup), link ? link->interface : "",
                               kept ? std::move(kept->files) : OpcacheFiles{}, std::move(callbacks)));
  become(State::kStarting);
  return {};
}

void Tenant::run_ended(const RunEnd &end) {
  const auto lived = Run::Clock::now() - run_->started();
  past_requests_ = requests();
  if (auto kept = run_->take_opcache())
    services_.opcaches.keep(settings_->name, std::move(*kept), plan_->opcache_keep);
  run_.reset();
  if (on_gone_) boost::asio::post(services_.io, on_gone_);
  if (services_.mail != nullptr) services_.mail->close(number_);
  replace_broken_socket();
  if (end.asked) {
    back_off_.reset();
    log::debug(settings_->name + ": the sandbox is gone");
    become(State::kIdle);
    if (std::exchange(start_after_stop_, false)) wake();
    return;
  }
  log::error(settings_->name + ": the sandbox " + (end.was_ready ? "crashed: " : "could not be started: ") +
             end.why);
  // A crash of what had worked for a while costs the site nothing: the next request starts it at once.
  if (!end.was_ready) return fail_start(end.why, lived);
  if (lived < kWorkedForAWhile) return fail_start(end.why);
  last_failure_ = end.why;
  become(State::kIdle);
}

void Tenant::replace_broken_socket() {
  if (removed_ || still_listens(listener_)) return;
  auto fresh = listen_at(socket_path_, config_->apache_gid);
  if (!fresh) return log::error(settings_->name + ": its socket was shut down: " + fresh.error().message());
  log::warning(settings_->name + ": its sandbox had shut its socket down; another is in its place");
  listener_ = std::move(*fresh);
  services_.manager.forget(settings_->name);
  services_.manager.store(settings_->name, listener_);
  services_.gateway.remove(number_);
  introduce_to_gateway();
}

void Tenant::fail_start(const std::string &why, Run::Clock::duration took) {
  last_failure_ = why;
  const auto delay = back_off_.failed();
  log::error(settings_->name + ": " + why + "; the next attempt is in " +
             std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(delay).count()) + " ms");
  long_back_off_ = delay >= kLongBackOff || took >= kLongStart;
  become(State::kWaiting);
  if (!timer_) timer_ = std::make_unique<boost::asio::steady_timer>(services_.io);
  timer_->expires_after(delay);
  timer_->async_wait([this](const boost::system::error_code &error) {
    if (!error && state_ == State::kWaiting) become(State::kIdle);
  });
}

void Tenant::stop() {
  start_after_stop_ = false;
  drop_opcache();
  begin_stop();
}

bool Tenant::stop_idle() {
  if (state_ != State::kRunning || frozen() || run_->board()->busy.load(std::memory_order_relaxed) != 0 ||
      has_shell(services_.runtime, settings_->name))
    return false;
  begin_stop();
  return true;
}

void Tenant::drop_opcache() {
  services_.opcaches.drop(settings_->name);
  if (run_) run_->drop_opcache();
}

void Tenant::begin_stop(bool keep_opcache) {
  if (state_ == State::kWaiting) {
    timer_->cancel();
    return become(State::kIdle);
  }
  if (state_ != State::kStarting && state_ != State::kRunning) return;
  const auto run = run_;  // its end may come before drain() returns
  become(State::kStopping);
  run->drain(services_.runtime.stop_patience, keep_opcache && plan_->opcache_keep.count() > 0 &&
                                                  settings_->program.kind == policies::Kind::kPhp);
}

void Tenant::count_refused(const std::string &reason, std::uint64_t requests) {
  refused_ += requests;
  refused_by_reason_[reason] += requests;
  const bool by_queue =
      reason == gateway_link::reason::kQueueFull || reason == gateway_link::reason::kQueueTime;
  services_.accountant.refused(settings_->name, requests, by_queue);
}

void Tenant::count_waiting(const gateway_link::Waiting &waiting) {
  const std::uint64_t queued = waiting_.queued + waiting.queued;
  const std::uint64_t queue_us = waiting_.queue_us + waiting.queue_us;
  std::vector<std::uint64_t> by_time = std::move(waiting_.by_time);
  by_time.resize(kLatencyBuckets);
  for (std::size_t i = 0; i < std::min(kLatencyBuckets, waiting.by_time.size()); ++i)
    by_time[i] += waiting.by_time[i];
  if (waiting.queued > 0) services_.accountant.queued(settings_->name, waiting.queued, waiting.queue_us);
  waiting_ = waiting;
  waiting_.by_time = std::move(by_time);
  waiting_.queued = queued;
  waiting_.queue_us = queue_us;
}

void Tenant::restart() {
  drop_opcache();
  begin_stop();
  start_after_stop_ = state_ == State::kStopping;
  if (!start_after_stop_) wake();
}

MailBroker::Figures Tenant::mail() const {
  return services_.mail == nullptr ? MailBroker::Figures{} : services_.mail->figures(number_);
}

std::uint64_t Tenant::requests() const {
  return past_requests_ + (run_ ? run_->board()->requests.load(std::memory_order_relaxed) : 0);
}

void Tenant::kill() {
  start_after_stop_ = false;
  drop_opcache();
  if (!run_) return;
  const auto run = run_;  // its end may come before kill() returns
  become(State::kStopping);
  run->kill();
}

Result<void> Tenant::freeze(std::optional<std::chrono::system_clock::time_point> until) {
  PADDOCK_CHECK(services_.freezes.set(settings_->name, {{}, until}));
  // First, so that nobody waits for what stands still.
  update_gateway();
  watch_freeze_end();
  return run_ ? run_->cgroup().freeze() : Result<void>();
}

Result<void> Tenant::thaw() {
  if (run_) PADDOCK_CHECK(run_->cgroup().thaw());
  PADDOCK_CHECK(services_.freezes.clear(settings_->name));
  freeze_timer_.reset();
  update_gateway();
  return {};
}

Result<void> Tenant::block(Block block) {
  PADDOCK_CHECK(services_.blocks.set(settings_->name, std::move(block)));
  // Nothing is left to be frozen. A freeze that stays on file outlasts the block, and can be lifted as any.
  if (const auto cleared = services_.freezes.clear(settings_->name); !cleared)
    log::error(settings_->name + ": " + cleared.error().message());
  freeze_timer_.reset();
  update_gateway();
  kill();
  watch_block_end();
  return {};
}

Result<void> Tenant::unblock() {
  PADDOCK_CHECK(services_.blocks.clear(settings_->name));
  block_timer_.reset();
  update_gateway();
  return {};
}

Result<void> Tenant::throttle(const std::string &plan,
                              std::optional<std::chrono::system_clock::time_point> until) {
  const auto found = config_->plans.find(plan);
  if (found == config_->plans.end()) return Error{"there is no plan " + log::quoted(plan)};
  // What the kernel refuses changes nothing, here or on disk.
  if (run_) PADDOCK_CHECK(set_limits(run_->cgroup(), found->second));
  if (auto kept = services_.throttles.set(settings_->name, {plan, until}); !kept) {
    if (const auto back = apply_limits(); !back) log::error(back.error().message());
    return kept;
  }
  watch_throttle_end();
  return {};
}

Result<void> Tenant::unthrottle() {
  PADDOCK_CHECK(services_.throttles.clear(settings_->name));
  throttle_timer_.reset();
  return apply_limits();
}

void Tenant::watch_end(const Ending &ending, std::unique_ptr<boost::asio::steady_timer> &timer) {
  timer.reset();
  const Block *lasting = (this->*ending.in_force)();
  if (lasting == nullptr || !lasting->until) return;
  timer = std::make_unique<boost::asio::steady_timer>(services_.io);
  // In steps of a day at most, against the wall clock: a clock that was set must not stretch a block.
  const auto left = *lasting->until - std::chrono::system_clock::now();
  timer->expires_after(std::clamp<std::chrono::system_clock::duration>(left, std::chrono::milliseconds(1),
                                                                       std::chrono::hours(24)));
  timer->async_wait([this, ending, &timer](const boost::system::error_code &error) {
    if (error) return;
    const Block *now = (this->*ending.in_force)();
    if (now == nullptr || !now->until) return;
    if (*now->until > std::chrono::system_clock::now()) return watch_end(ending, timer);
    log::info(settings_->name + ": the " + ending.what + " has ended");
    services_.accountant.note(ending.event, settings_->name, {}, "its time is over");
    if (const auto lifted = (this->*ending.lift)(); !lifted) log::error(lifted.error().message());
  });
}

void Tenant::watch_block_end() {
  static constexpr Ending kBlock{&Tenant::block_in_force, &Tenant::unblock, accounting::EventKind::kUnblock,
                                 "block"};
  watch_end(kBlock, block_timer_);
}

void Tenant::watch_freeze_end() {
  static constexpr Ending kFreeze{&Tenant::freeze_in_force, &Tenant::thaw, accounting::EventKind::kThaw,
                                  "freeze"};
  watch_end(kFreeze, freeze_timer_);
}

void Tenant::watch_throttle_end() {
  static constexpr Ending kThrottle{&Tenant::throttle_in_force, &Tenant::unthrottle,
                                    accounting::EventKind::kUnthrottle, "throttle"};
  watch_end(kThrottle, throttle_timer_);
}

Result<bool> Tenant::reconfigure(std::shared_ptr<const policies::Config> config, bool refusals_differ) {
  const auto &settings = config->tenants.at(settings_->name);
  const auto &plan = config->plan_of(*settings);
  zygote_link::Spawn before = Run::spawn_message(*settings_, *plan_);
  const zygote_link::Spawn after = Run::spawn_message(*settings, plan);
  // These a keeper changes while it serves; the rest takes another sandbox.
  const keeper_link::SetLimits pool{after.workers_max, after.idle_ms, after.requests_per_worker};
  const bool same_pool = before.workers_max == after.workers_max && before.idle_ms == after.idle_ms &&
                         before.requests_per_worker == after.requests_per_worker;
  before.workers_max = after.workers_max;
  before.idle_ms = after.idle_ms;
  before.requests_per_worker = after.requests_per_worker;
  const bool same_sandbox = wire::encode(before) == wire::encode(after) && php() == config->php_of(*settings);
  const bool same_lease = wire::encode(lease_message(number_, *plan_, services_.runtime)) ==
                          wire::encode(lease_message(number_, plan, services_.runtime));
  const policies::Plan &limiting = plan_in_force(*config, plan);
  const bool same_limits = cgroup_limits(limits_in_force()) == cgroup_limits(limiting.limits);
  // First: with an error nothing of this has changed.
  if ((state_ == State::kStarting || state_ == State::kRunning) && !same_limits)
    PADDOCK_CHECK(set_limits(run_->cgroup(), limiting));
  // The old config, and the throttle's plan in it, go.
  settings_ = settings;
  plan_ = &plan;
  config_ = std::move(config);
  if (refusals_differ && gateway_mode() == Mode::kRefuse) {
    update_gateway(true);
  } else {
    update_gateway();
    if (!same_lease || refusals_differ) lease_to_run();
  }
  if (services_.mail != nullptr) services_.mail->change(number_, plan_->mail);
  // What was compiled under other settings, or does not fit the limits, is for nobody.
  if (!same_sandbox || !same_limits) drop_opcache();
  if (run_ && !same_sandbox) {
    stop();
  } else if (run_ && !same_pool) {
    run_->set_limits(pool);
  }
  return !same_sandbox || !same_pool || !same_limits || !same_lease;
}

void Tenant::left_over_gone() {
  left_over_ = false;
  // Told anew even if nothing seems changed: a connection may have come while nobody watched.
  update_gateway();
}

void Tenant::retire() {
  retired_ = true;
  if (timer_) timer_->cancel();
  if (frozen() && run_) {
    kill();  // what is frozen cannot finish anything
  } else {
    stop();
  }
}

void Tenant::leave(std::function<void()> on_gone) {
  removed_ = true;
  on_gone_ = std::move(on_gone);
  retire();
  // Its mode and reason stay what they are from here on, so that nothing more is said of it.
  update_gateway();
  services_.gateway.remove(number_);
}

}  // namespace paddock::supervisor
