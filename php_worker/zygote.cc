#include "php_worker/zygote.h"

#include <fcntl.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <span>

#include "base/log.h"
#include "base/message_socket.h"
#include "base/monotonic.h"
#include "php_worker/keeper.h"
#include "php_worker/opcache_region.h"
#include "php_worker/php_fds.h"
#include "php_worker/sapi.h"
#include "php_worker/title.h"
#include "protocols/keeper_link/keeper_link.h"
#include "protocols/scoreboard/scoreboard.h"
#include "protocols/zygote_link/zygote_link.h"
#include "sandbox/base_view.h"
#include "sandbox/give_memory.h"
#include "sandbox/sandbox.h"

namespace paddock::php_worker {
namespace {

using zygote_link::Spawn;

class Zygote;

// What a keeper starts from: the zygote's memory, copied by the clone, or the spare's.
struct KeeperStart {
  const Spawn *spawn = nullptr;
  const std::vector<UniqueFd> *fds = nullptr;
  const OpcacheRegion *opcache = nullptr;
  const std::vector<int> *php_fds = nullptr;
  std::uint64_t cloned_ns = 0;
  const Zygote *zygote = nullptr;  // the spare's
};

void set_environment(const Spawn &spawn) {
  ::clearenv();
  ::setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
  ::setenv("USER", spawn.user.c_str(), 1);
  ::setenv("HOME", spawn.home.c_str(), 1);
  ::setenv("TMPDIR", "/tmp", 1);
  for (const std::string &entry : spawn.environment) {
    const auto equals = entry.find('=');
    if (equals != std::string::npos && equals > 0)
      ::setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
  }
}

zygote_link::IniFromWeb checked(zygote_link::IniFromWeb value) {
  return value > zygote_link::IniFromWeb::kAdmin ? zygote_link::IniFromWeb::kNone : value;
}

// PHP takes opcache.file_cache for unset, without a word, where the directory is not there. What is in the
// way is the tenant's own. False: it cannot be used.
bool make_opcache_directory(const Spawn &spawn) {
  for (const auto &entry : spawn.ini) {
    if (entry.name != zygote_link::kOpcacheFiles) continue;
    for (std::size_t end = spawn.home.size(); end != std::string::npos;) {
      end = entry.value.find('/', end + 1);
      ::mkdir(entry.value.substr(0, end).c_str(), 0700);
    }
    if (::access(entry.value.c_str(), R_OK | W_OK | X_OK) != 0) return false;
  }
  return true;
}

// In the sandbox, as the tenant.
int keeper_entry(void *argument, sandbox::ViewGate &gate) {
  const auto &start = *static_cast<const KeeperStart *>(argument);
  const Spawn &spawn = *start.spawn;
  // The copies that the vector holds are never destroyed here: the process ends by _exit.
  const auto own = [&](zygote_link::SpawnFd which) { return UniqueFd((*start.fds)[which].get()); };
  KeeperOptions options;
  options.cloned_ns = start.cloned_ns;
  options.gate = &gate;
  options.name = spawn.name;
  options.workers_start = 1;
  options.workers_max = std::clamp<std::uint16_t>(spawn.workers_max, 1, scoreboard::kMaxWorkers);
  options.idle_ms = spawn.idle_ms;
  options.requests_per_worker = spawn.requests_per_worker;
  options.deadline_ms = spawn.serving.deadline_ms;
  options.slow_ms = spawn.serving.slow_ms;
  options.listen = own(zygote_link::kListen);
  options.link = MessageSocket(own(zygote_link::kKeeperLink));
  options.log = own(zygote_link::kTenantLog);
  options.log_bytes = spawn.log_bytes;
  options.access_log = own(zygote_link::kAccessLog);
  options.access = spawn.serving.access;
  options.emergency_deaths = spawn.emergency_deaths;
  options.emergency_ms = spawn.emergency_ms;
  options.board = own(zygote_link::kScoreboard);
  options.page = own(zygote_link::kPage);
  options.handoff = MessageSocket(own(zygote_link::kHandoff));
  options.php_fds = *start.php_fds;
  options.program = spawn.program;
  set_environment(spawn);
  std::vector<UniqueFd> opcache;
  for (std::size_t i = 0; i < spawn.opcache_files; ++i)
    opcache.emplace_back((*start.fds)[zygote_link::kFixedFds + i].get());
  const auto replaced = start.opcache->make_private(opcache, spawn.opcache_filled);
  // Here already: no worker holds them.
  opcache.clear();
  if (!replaced) {
    const Error &error = replaced.error();
    [[maybe_unused]] const auto told = options.link.send(keeper_link::Failed{error.attempt, error.code});
    return 1;
  }
  set_serving(spawn.serving);
  options.settle = [&spawn] {
    [[maybe_unused]] const int in_root_otherwise = ::chdir(spawn.home.c_str());
    const bool has_opcache_directory = make_opcache_directory(spawn);
    auto refused = apply_plan(spawn.ini, checked(spawn.ini_from_web));
    if (!has_opcache_directory) refused.emplace_back(zygote_link::kOpcacheFiles);
    return refused;
  };
  return run_keeper(std::move(options));
}

// The bytes of Spawn::seccomp as instructions.
Result<std::vector<sock_filter>> seccomp_filter(const std::string &bytes) {
  if (bytes.size() % sizeof(sock_filter) != 0 || bytes.size() / sizeof(sock_filter) > BPF_MAXINSNS)
    return errno_error("take a seccomp filter of " + std::to_string(bytes.size()) + " bytes", EINVAL);
  std::vector<sock_filter> filter(bytes.size() / sizeof(sock_filter));
  if (!bytes.empty()) std::memcpy(filter.data(), bytes.data(), bytes.size());
  return filter;
}

// Who takes the next Spawn from the link. A copy of a whole PHP takes a millisecond: the spare is one that
// was made while nobody waited for it, and becomes the sandbox's first process. It is forked when no Spawn
// has come for kQuiet; till then the zygote takes them itself, with a copy each.
class Zygote {
 public:
  Zygote(MessageSocket link, sandbox::BaseView view, OpcacheRegion opcache, std::vector<int> php_fds)
      : link_(std::move(link)),
        view_(std::move(view)),
        opcache_(std::move(opcache)),
        php_fds_(std::move(php_fds)) {}

  Result<int> run() {
    for (;;) {
      if (!spawn_comes_soon()) {
        const auto used = use_spare();
        if (used) continue;
        log::warning(used.error().message());
      }
      auto packet = link_.receive();
      if (!packet) return packet.error();
      if (!*packet) return 0;
      PADDOCK_CHECK(take(**packet));
    }
  }

 private:
  static constexpr int kQuiet = 20;  // milliseconds

  [[nodiscard]] bool spawn_comes_soon() const {
    pollfd entry{link_.fd().get(), POLLIN, 0};
    return ::poll(&entry, 1, kQuiet) > 0;
  }

  // Has a spare made, and waits until it has ended: with the next Spawn, or with the link.
  Result<void> use_spare() {
    PADDOCK_TRY(const Child spare, fork_sibling());
    const BorrowedFd pidfd = spare.pidfd();
    PADDOCK_CHECK(
        link_.send(zygote_link::Spare{static_cast<std::uint32_t>(spare.pid())}, std::span(&pidfd, 1)));
    pollfd ended{pidfd.get(), POLLIN, 0};
    while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
    }
    return {};
  }

  // fork(2), but the child is one of our parent's, as is whom it clones by CLONE_PARENT.
  Result<Child> fork_sibling() {
    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_PARENT | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    sandbox::correct_thread_id(arguments);
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid < 0) return errno_error("fork a spare zygote");
    if (pid == 0) be_spare();
    return Child(pid, UniqueFd(pidfd));
  }

  // How it ends tells the supervisor whether what it was asked is answered.
  [[noreturn]] void be_spare() {
    set_title("paddock: zygote, spare");
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    is_spare_ = true;
    const auto packet = link_.receive();
    if (!packet || (*packet && !take(**packet))) ::_exit(1);
    ::_exit(0);
  }

  // An error ends the zygote: the link is unusable. What is wrong with one tenant goes back as SpawnFailed.
  Result<void> take(const Packet &packet) {
    const auto spawn = packet.as<Spawn>();
    if (!spawn) {
      log::error(spawn.error().message());
      return {};
    }
    const std::size_t networks = spawn->network == zygote_link::Network::kNat ? 1 : 0;
    if (packet.fds.size() != zygote_link::kFixedFds + spawn->opcache_files + spawn->binds.size() + networks)
      return failed(*spawn,
                    Error{"take the descriptors of Spawn: " + std::to_string(packet.fds.size()) + " came"});
    const auto filter = seccomp_filter(spawn->seccomp);
    if (!filter) return failed(*spawn, filter.error());
    const sock_fprog program{static_cast<unsigned short>(filter->size()),
                             const_cast<sock_filter *>(filter->data())};
    KeeperStart start{&*spawn, &packet.fds, &opcache_, &php_fds_, 0};
    auto wanted = spec(*spawn, packet.fds);
    if (!filter->empty()) wanted.seccomp = &program;
    auto prepared = sandbox::PreparedSandbox::prepare(view_, wanted);
    if (!prepared) return failed(*spawn, prepared.error());
    start.cloned_ns = monotonic_ns();
    if (is_spare_ && sandbox::kCanGiveMemory) {
      start.zygote = this;
      return failed(*spawn, prepared->give(keeper_entry, &start, {spare_has_cloned, sandbox_failed}));
    }
    auto spawned = prepared->spawn(keeper_entry, &start);
    if (!spawned) return failed(*spawn, spawned.error());
    if (spawned->failure) tell_for_keeper(packet.fds[zygote_link::kKeeperLink], *spawned->failure);
    return cloned(*spawn, spawned->child);
  }

  static void spare_has_cloned(void *argument, Child keeper) {
    const auto &start = *static_cast<const KeeperStart *>(argument);
    [[maybe_unused]] const auto told = start.zygote->cloned(*start.spawn, keeper);
  }

  static void sandbox_failed(void *argument, const Error &error) {
    const auto &start = *static_cast<const KeeperStart *>(argument);
    tell_for_keeper((*start.fds)[zygote_link::kKeeperLink], error);
  }

  sandbox::SandboxSpec spec(const Spawn &spawn, const std::vector<UniqueFd> &fds) const {
    sandbox::SandboxSpec spec;
    spec.name = spawn.name;
    spec.uid = spawn.uid;
    spec.gid = spawn.gid;
    spec.user = spawn.user;
    spec.home = spawn.home;
    spec.home_tree = fds[zygote_link::kHomeTree];
    for (std::size_t i = 0; i < spawn.binds.size(); ++i) {
      const zygote_link::Bind &bind = spawn.binds[i];
      spec.binds.push_back({fds[zygote_link::kFixedFds + spawn.opcache_files + i],
                            bind.target.empty() ? bind.source : bind.target, bind.optional});
    }
    spec.cgroup = fds[zygote_link::kCgroup];
    spec.tmp_bytes = spawn.tmp_bytes;
    switch (spawn.network) {
      case zygote_link::Network::kHost:
        spec.network = sandbox::Network::kHost;
        break;
      case zygote_link::Network::kNat:
        spec.network = sandbox::Network::kGiven;
        spec.network_namespace = fds.back();
        break;
      default:
        spec.network = sandbox::Network::kNone;
        break;
    }
    spec.resolver = spawn.resolver;
    spec.keep_fds = php_fds_;
    for (const auto kept :
         {zygote_link::kListen, zygote_link::kKeeperLink, zygote_link::kTenantLog, zygote_link::kScoreboard,
          zygote_link::kPage, zygote_link::kHandoff, zygote_link::kAccessLog})
      spec.keep_fds.push_back(fds[kept].get());
    for (std::size_t i = 0; i < spawn.opcache_files; ++i)
      spec.keep_fds.push_back(fds[zygote_link::kFixedFds + i].get());
    // The supervisor reaps the keeper, and the keeper outlives the zygote.
    spec.parent_of_caller = true;
    spec.entry_comes_early = true;
    return spec;
  }

  Result<void> failed(const Spawn &spawn, const Error &error) const {
    return link_.send(zygote_link::SpawnFailed{spawn.request, error.attempt, error.code});
  }

  [[nodiscard]] Result<void> cloned(const Spawn &spawn, const Child &keeper) const {
    const BorrowedFd pidfd = keeper.pidfd();
    return link_.send(zygote_link::Spawned{spawn.request, static_cast<std::uint32_t>(keeper.pid())},
                      std::span(&pidfd, 1));
  }

  // The child ended before it could speak for itself.
  static void tell_for_keeper(BorrowedFd keeper_link, const Error &error) {
    MessageSocket link(UniqueFd(::fcntl(keeper_link.get(), F_DUPFD_CLOEXEC, 3)));
    [[maybe_unused]] const auto told = link.send(keeper_link::Failed{error.attempt, error.code});
  }

  MessageSocket link_;
  sandbox::BaseView view_;
  OpcacheRegion opcache_;
  std::vector<int> php_fds_;
  bool is_spare_ = false;
};

}  // namespace

Result<int> run_zygote(const ZygoteOptions &options) {
  set_title("paddock: zygote" + (options.name.empty() ? "" : ", PHP " + options.name) +
            (options.opcache_mib == 0 ? "" : ", opcache " + std::to_string(options.opcache_mib) + "M"));
  MessageSocket link{UniqueFd(options.link_fd)};
  if (::fcntl(options.link_fd, F_SETFD, FD_CLOEXEC) != 0)
    return errno_error("--link-fd is no open descriptor");
  const std::vector<int> fds_before = open_fds();
  PADDOCK_TRY(const auto mappings_before, OpcacheRegion::shared_mappings());
  const auto started = std::chrono::steady_clock::now();
  PhpOptions php{options.ini_dir, {}};
  if (options.opcache_mib != 0)
    php.ini.emplace_back("opcache.memory_consumption", std::to_string(options.opcache_mib));
  PADDOCK_CHECK(start_php(php));
  const auto took = std::chrono::steady_clock::now() - started;
  std::vector<int> php_fds = opened_since(fds_before);
  PADDOCK_TRY(OpcacheRegion opcache, OpcacheRegion::learn(mappings_before, php_fds));
  // Only now: php.ini and modules may lie outside of what the view shows.
  PADDOCK_TRY(sandbox::BaseView view, sandbox::BaseView::enter());
  zygote_link::Hello hello;
  hello.pid = static_cast<std::uint32_t>(::getpid());
  hello.php_version = php_version();
  hello.started_in_us =
      static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  hello.opcache_bytes = opcache.sizes();
  PADDOCK_CHECK(link.send(hello));
  return Zygote(std::move(link), std::move(view), std::move(opcache), std::move(php_fds)).run();
}

}  // namespace paddock::php_worker
