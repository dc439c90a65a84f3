#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "sandbox/give_memory.h"
#include "sandbox/paths.h"
#include "sandbox/privileges.h"
#include "sandbox/steps.h"
#include "sandbox/view.h"
#include "sandbox/view_builder.h"

namespace paddock::sandbox {

// Everything that the child needs, allocated before the clone.
struct PreparedSandbox::Plan {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string map_uid;  // "1000 1000 1"
  std::string map_gid;
  view::Plan view;
  int cgroup = -1;
  Network network = Network::kHost;
  UniqueFd network_namespace;
  std::vector<int> keep;  // ascending; those below join it in spawn()
  std::array<UniqueFd, 3> stdio;
  bool parent_of_caller = false;
  bool dumpable = false;
  const sock_fprog *seccomp = nullptr;
  bool entry_comes_early = false;
  bool used = false;

  // Where memory is given; null: it is not.
  const Giver *giver = nullptr;
  void *argument = nullptr;

  // Of the child. From the caller an int comes: 0, or the errno value of the uid maps. Back goes a report,
  // where no memory is given.
  int report = -1;
  // A pipe. Its writing end is the builder's alone; a byte is in it if all went well.
  int stands = -1;
  int stands_writing = -1;
  ViewBuilder builder;
  const char *object = "";
};

namespace {

int bring_up_loopback() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int code = code_of(::ioctl(fd, SIOCSIFFLAGS, &request));
  ::close(fd);
  return code;
}

// The child takes its steps in two parts: those before its view is begun, and beside the builder of the view
// those by which it loses its rights. A report's step counts through the first, the builder's and the second.
template <typename Context, std::size_t kSize>
StepReport run_part(const Step<Context> (&steps)[kSize], Context &context, std::size_t before) {
  StepReport report = run_steps(std::span<const Step<Context>>(steps), context);
  if (report.step != StepReport::kAllDone) report.step += static_cast<std::uint32_t>(before);
  return report;
}

// The capabilities of a new user namespace are there from the clone on; what they may be used on is not
// before the maps.
template <typename Plan>
constexpr Step<Plan> kFirstSteps[] = {
    {"wait for the uid map",
     [](Plan &plan) {
       int code = EPIPE;
       if (::read(plan.report, &code, sizeof code) < 0) code = errno;
       if (plan.giver == nullptr) return code;
       // Until the end of who has shared this memory till now.
       for (int more = 0; ::read(plan.report, &more, sizeof more) > 0;) {
       }
       ::close(plan.report);
       return code;
     }},
    // First of all: in a file system that the sandbox mounts, nobody without a mapped uid can make a file
    // (EOVERFLOW).
    {"become the tenant", [](Plan &plan) { return become(plan.uid, plan.gid); }},
    {"start a session", [](Plan &) { return code_of(::setsid()); }},
    // Not by clone3, which roots the new namespace in the parent's cgroup even with CLONE_INTO_CGROUP.
    {"make a cgroup namespace", [](Plan &) { return code_of(::unshare(CLONE_NEWCGROUP)); }},
    {"set the host name",
     [](Plan &plan) {
       return code_of(::sethostname(plan.name.data(), std::min<std::size_t>(plan.name.size(), 64)));
     }},
    {"bring up loopback",
     [](Plan &plan) { return plan.network == Network::kNone ? bring_up_loopback() : 0; }},
    {"start the builder of its view",
     [](Plan &plan) { return plan.builder.start(plan.view, plan.stands_writing); }},
};

template <typename Plan>
constexpr Step<Plan> kRightsSteps[] = {
    {"set standard descriptors",
     [](Plan &plan) {
       for (std::size_t i = 0; i < plan.stdio.size(); ++i)
         if (plan.stdio[i].valid() && ::dup2(plan.stdio[i].get(), static_cast<int>(i)) < 0) return errno;
       return 0;
     }},
    {"close descriptors",
     [](Plan &plan) { return close_all_but(plan.keep.data(), static_cast<unsigned>(plan.keep.size())); }},
    {"join a session keyring", [](Plan &) { return join_session_keyring(); }},
    {"forbid core dumps", [](Plan &) { return forbid_core_dumps(); }},
    {"drop capabilities", [](Plan &) { return drop_capabilities(); }},
    {"set no_new_privs", [](Plan &) { return set_no_new_privs(); }},
    {"set dumpable",
     [](Plan &plan) { return code_of(::prctl(PR_SET_DUMPABLE, plan.dumpable ? 1 : 0, 0, 0, 0)); }},
    {"load the seccomp filter", [](Plan &plan) { return load_seccomp(plan.seccomp); }},
};

template <typename Plan>
constexpr std::size_t kBeforeView = std::size(kFirstSteps<Plan>);
template <typename Plan>
constexpr std::size_t kBeforeRights = kBeforeView<Plan> + ViewBuilder::kSteps;

template <typename Plan>
const char *name_of(std::size_t step) {
  if (step < kBeforeView<Plan>) return kFirstSteps<Plan>[step].name;
  if (step < kBeforeRights<Plan>) return ViewBuilder::name_of(step - kBeforeView<Plan>);
  step -= kBeforeRights<Plan>;
  return step < std::size(kRightsSteps<Plan>) ? kRightsSteps<Plan>[step].name : "?";
}

// What a bind may not cover: without these a view is none.
bool hides_the_view(const std::string &target) {
  for (const char *part :
       {"/usr", "/etc", "/dev", "/proc", "/bin", "/sbin", "/lib", "/lib64", "/var", "/run"})
    if (target == part) return true;
  return target.starts_with("/proc/") || target.starts_with("/dev/");
}

bool is_passwd_field(const std::string &text) {
  return !text.empty() && text.find_first_of(std::string_view(":\n\0", 3)) == std::string::npos;
}

struct SystemName {
  const char *name;
  unsigned id;
  const char *home;
};
// Programs look these up; none of them is mapped in the sandbox.
constexpr SystemName kSystemNames[] = {
    {"root", 0, "/root"}, {"www-data", 33, "/var/www"}, {"nobody", 65534, "/nonexistent"}};

std::string passwd_of(const SandboxSpec &spec) {
  std::string text = spec.user + ":x:" + std::to_string(spec.uid) + ":" + std::to_string(spec.gid) +
                     "::" + spec.home + ":/bin/sh\n";
  for (const auto &[name, id, home] : kSystemNames)
    if (spec.user != name && spec.uid != id)
      text += std::string(name) + ":x:" + std::to_string(id) + ":" + std::to_string(id) + "::" + home +
              ":/usr/sbin/nologin\n";
  return text;
}

std::string group_of(const SandboxSpec &spec) {
  std::string text = spec.user + ":x:" + std::to_string(spec.gid) + ":\n";
  for (const auto &[name, id, home] : kSystemNames)
    if (spec.user != name && spec.gid != id)
      text += std::string(id == 65534 ? "nogroup" : name) + ":x:" + std::to_string(id) + ":\n";
  return text;
}

Result<UniqueFd> lifted(BorrowedFd fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return errno_error("duplicate descriptor " + std::to_string(fd.get()));
  return copy;
}

}  // namespace

PreparedSandbox::PreparedSandbox(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
PreparedSandbox::PreparedSandbox(PreparedSandbox &&) noexcept = default;
PreparedSandbox &PreparedSandbox::operator=(PreparedSandbox &&) noexcept = default;
PreparedSandbox::~PreparedSandbox() = default;

Result<PreparedSandbox> PreparedSandbox::prepare(const BaseView &base, const SandboxSpec &spec) {
  const auto refuse = [&](const std::string &why) {
    return errno_error("sandbox of " + spec.name + ": " + why, EINVAL);
  };
  if (spec.uid == 0 || spec.gid == 0) return refuse("uid and gid must not be root's");
  if (spec.name.empty()) return refuse("no name");
  if (!is_passwd_field(spec.user) || !is_passwd_field(spec.home))
    return refuse("no user or home that passwd can hold");
  if (!spec.home_tree.valid()) return refuse("no home");
  if (spec.tmp_bytes < 64 * 1024) return refuse("tmp_bytes below 65536");

  auto plan = std::make_unique<Plan>();
  plan->name = spec.name;
  plan->uid = spec.uid;
  plan->gid = spec.gid;
  plan->map_uid = std::to_string(spec.uid) + " " + std::to_string(spec.uid) + " 1";
  plan->map_gid = std::to_string(spec.gid) + " " + std::to_string(spec.gid) + " 1";
  plan->cgroup = spec.cgroup.get();
  plan->network = spec.network;
  if (spec.network == Network::kGiven) {
    if (!spec.network_namespace.valid()) return refuse("no network namespace");
    PADDOCK_TRY(plan->network_namespace, lifted(spec.network_namespace));
  }
  plan->parent_of_caller = spec.parent_of_caller;
  plan->dumpable = spec.dumpable;
  plan->seccomp = spec.seccomp;
  plan->entry_comes_early = spec.entry_comes_early;

  plan->keep = spec.keep_fds;
  std::sort(plan->keep.begin(), plan->keep.end());
  for (const int fd : plan->keep) {
    if (fd < 3) return refuse("descriptors 0 to 2 are set by stdio, not kept");
    if (::fcntl(fd, F_GETFD) < 0)
      return errno_error("sandbox of " + spec.name + ": descriptor " + std::to_string(fd));
  }
  for (std::size_t i = 0; i < spec.stdio.size(); ++i) {
    if (!spec.stdio[i].valid()) continue;
    PADDOCK_TRY(plan->stdio[i], lifted(spec.stdio[i]));
  }

  view::Plan &view = plan->view;
  view.entries = base.entries();
  view.masks = base.masks();
  view.binds.push_back({spec.home_tree.get(), spec.home});
  for (const auto &bind : spec.binds) view.binds.push_back({bind.tree.get(), bind.target, bind.optional});
  for (const auto &[tree, target, optional] : view.binds) {
    if (!is_plain_path(target)) return refuse("bind " + target + ": no plain absolute path");
    if (hides_the_view(target)) return refuse("bind " + target + ": would hide a part of the view");
  }
  std::stable_sort(view.binds.begin(), view.binds.end(),
                   [](const auto &a, const auto &b) { return a.target < b.target; });
  view.size = std::to_string(spec.tmp_bytes);
  // Each inode is kernel memory, however small its file: bounded in proportion.
  view.inodes = std::to_string(spec.tmp_bytes / 4096 + 1024);
  view.passwd = passwd_of(spec);
  view.group = group_of(spec);
  if (!spec.resolver.empty()) view.resolv_conf = "nameserver " + spec.resolver + "\n";
  view.user_namespaces = std::to_string(spec.max_user_namespaces);
  return PreparedSandbox(std::move(plan));
}

namespace {

template <typename Plan>
Error error_of(const Plan &plan, StepReport report) {
  report.object[sizeof report.object - 1] = '\0';
  std::string step = name_of<Plan>(report.step);
  if (report.object[0] != '\0') step += std::string(" ") + report.object;
  return errno_error("build the sandbox of " + plan.name + ": " + step, report.code);
}

template <typename Plan>
bool tell(const Plan &plan, const StepReport &report) {
  if (plan.giver != nullptr) {
    if (report.step != StepReport::kAllDone) plan.giver->failed(plan.argument, error_of(plan, report));
    return report.step == StepReport::kAllDone;
  }
  const bool told = ::write(plan.report, &report, sizeof report) == sizeof report;
  ::close(plan.report);
  return told && report.step == StepReport::kAllDone;
}

Result<void> write_map(pid_t pid, const char *file, const std::string &map) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  return write_value_at(BorrowedFd(AT_FDCWD), path, map);
}

// The child's report; an Error: there was none, or it says that a step failed.
template <typename Plan>
Result<void> read_report(const Plan &plan, BorrowedFd socket, const Child &child) {
  pollfd waiting{socket.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready =
        ::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(PreparedSandbox::kPatience).count()));
  } while (ready < 0 && errno == EINTR);
  const std::string attempt = "build the sandbox of " + plan.name;
  if (ready <= 0) {
    const int code = ready == 0 ? ETIMEDOUT : errno;
    [[maybe_unused]] const auto killed = child.signal(SIGKILL);
    return errno_error(attempt, code);
  }
  StepReport report;
  const ssize_t got = ::read(socket.get(), &report, sizeof report);
  if (got != sizeof report)
    return errno_error(attempt + ": its first process was killed", got < 0 ? errno : 0);
  if (report.step == StepReport::kAllDone) return {};
  return error_of(plan, report);
}

}  // namespace

int ViewGate::fd() const {
  return plan_->stands;
}

bool ViewGate::await() const {
  pollfd builder{plan_->stands, 0, 0};  // POLLHUP: it has ended, and with it the last who had any rights
  while (::poll(&builder, 1, -1) < 0 && errno == EINTR) {
  }
  int bytes = 0;
  const bool stands = ::ioctl(plan_->stands, FIONREAD, &bytes) == 0 && bytes == 1;
  ::close(plan_->stands);
  return stands && ::chdir("/") == 0;
}

bool ViewGate::open() {
  plan_->builder.let_enter();
  const bool stands = await();
  StepReport report = plan_->builder.reap();
  if (stands) {
    // Of the view, whose /dev is there now; one of the base view would keep that from being unmounted.
    const auto source = [this](int number) {
      return plan_->stdio[static_cast<std::size_t>(number)].valid() ? number : -1;
    };
    report.code = set_stdio({source(0), source(1), source(2)});
    if (report.code != 0) report.step = kBeforeRights<PreparedSandbox::Plan>;
    return tell(*plan_, report);
  }
  if (report.step == StepReport::kAllDone) {
    report = {kBeforeView<PreparedSandbox::Plan> - 1, ECHILD, "(it was killed)"};
  } else {
    report.step += kBeforeView<PreparedSandbox::Plan>;
  }
  return tell(*plan_, report);
}

void PreparedSandbox::run_child(Entry entry, void *argument) {
  Plan &plan = *plan_;
  StepReport report = run_part(kFirstSteps<Plan>, plan, 0);
  if (report.step == StepReport::kAllDone) report = run_part(kRightsSteps<Plan>, plan, kBeforeRights<Plan>);
  if (report.step != StepReport::kAllDone) {
    tell(plan, report);
    ::_exit(127);
  }
  ::umask(022);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ViewGate gate(plan);
  if (!plan.entry_comes_early && !gate.open()) ::_exit(127);
  ::_exit(entry(argument, gate));
}

// What a clone needs beside the plan.
struct PreparedSandbox::Cloning {
  PreparedSandbox *sandbox = nullptr;
  std::string attempt;
  UniqueFd ours;
  UniqueFd theirs;
  UniqueFd stands;
  UniqueFd stands_writing;
  UniqueFd own_network;
  int pidfd = -1;
  clone_args arguments{};
  sigset_t signals_before{};
};

// All signals are blocked when it has returned without an error.
Result<void> PreparedSandbox::begin(Cloning &cloning) {
  Plan &plan = *plan_;
  cloning.sandbox = this;
  const std::string &attempt = cloning.attempt = "clone the sandbox of " + plan.name;
  if (plan.used) return errno_error(attempt + ": used already", EINVAL);
  plan.used = true;

  int ends[2];
  int pipe[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno_error(attempt);
  cloning.ours.reset(ends[0]);
  UniqueFd theirs(ends[1]);
  if (::pipe2(pipe, O_CLOEXEC) != 0) return errno_error(attempt);
  UniqueFd stands(pipe[0]);
  UniqueFd writing(pipe[1]);
  PADDOCK_TRY(cloning.theirs, lifted(theirs));
  PADDOCK_TRY(cloning.stands, lifted(stands));
  PADDOCK_TRY(cloning.stands_writing, lifted(writing));
  plan.report = cloning.theirs.get();
  plan.stands = cloning.stands.get();
  plan.stands_writing = cloning.stands_writing.get();
  for (const int fd : {plan.report, plan.stands})
    plan.keep.insert(std::upper_bound(plan.keep.begin(), plan.keep.end(), fd), fd);

  clone_args &arguments = cloning.arguments;
  arguments.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD |
                    CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&cloning.pidfd);
  arguments.exit_signal = SIGCHLD;
  if (plan.network == Network::kNone) arguments.flags |= CLONE_NEWNET;
  if (plan.cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<__u64>(plan.cgroup);
  }
  if (plan.parent_of_caller) {
    arguments.flags |= CLONE_PARENT;
    arguments.exit_signal = 0;  // with CLONE_PARENT the kernel takes the caller's
  }
  correct_thread_id(arguments);

  // The clone inherits the caller's network. Only the caller has rights over one that it did not make.
  if (plan.network == Network::kGiven) {
    PADDOCK_TRY(cloning.own_network, open_file("/proc/self/ns/net", O_RDONLY));
    if (::setns(plan.network_namespace.get(), CLONE_NEWNET) != 0)
      return errno_error(attempt + ": enter its network namespace");
  }
  // A signal between clone and the child's first step would run a handler of ours in the child.
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &cloning.signals_before);
  return {};
}

namespace {

template <typename Plan>
Result<void> write_maps(const Plan &plan, pid_t pid) {
  PADDOCK_CHECK(write_map(pid, "uid_map", plan.map_uid));
  return write_map(pid, "gid_map", plan.map_gid);
}

Result<void> tell_of_maps(BorrowedFd socket, int code) {
  return write_all(socket, std::string_view(reinterpret_cast<const char *>(&code), sizeof code));
}

}  // namespace

Result<Spawned> PreparedSandbox::spawn(Entry entry, void *argument) {
  Plan &plan = *plan_;
  Cloning cloning;
  const auto start = std::chrono::steady_clock::now();
  PADDOCK_CHECK(begin(cloning));
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &cloning.arguments, sizeof cloning.arguments));
  const int clone_code = errno;
  if (pid == 0) {
    // Or its copy of our end would keep it waiting for the map after we have died.
    ::close(cloning.ours.get());
    run_child(entry, argument);
  }
  ::sigprocmask(SIG_SETMASK, &cloning.signals_before, nullptr);
  // Where the caller would clone everybody else from a tenant's network, it clones nobody any more.
  if (cloning.own_network.valid() && ::setns(cloning.own_network.get(), CLONE_NEWNET) != 0) std::abort();
  plan.network_namespace.reset();
  if (pid < 0) return errno_error(cloning.attempt, clone_code);

  Spawned spawned{Child(pid, UniqueFd(cloning.pidfd)), {}, {}};
  cloning.theirs.reset();
  cloning.stands.reset();
  cloning.stands_writing.reset();
  auto built = write_maps(plan, pid);
  if (built) built = tell_of_maps(cloning.ours, 0);
  if (built) {
    built = read_report(plan, cloning.ours, spawned.child);
  } else {
    [[maybe_unused]] const auto killed = spawned.child.signal(SIGKILL);
  }
  if (!built) spawned.failure = std::move(built).error();
  spawned.took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  return spawned;
}

// What is left to do for who has given its memory away: it ends with that, and so lets the child go on.
void PreparedSandbox::end_giving(void *cloning, pid_t pid) {
  auto &given = *static_cast<Cloning *>(cloning);
  const Plan &plan = *given.sandbox->plan_;
  const auto written = write_maps(plan, pid);
  [[maybe_unused]] const auto told = tell_of_maps(given.ours, written ? 0 : written.error().code);
  plan.giver->cloned(plan.argument, Child(pid, UniqueFd(given.pidfd)));
  ::_exit(0);
}

Error PreparedSandbox::give(Entry entry, void *argument, const Giver &giver) {
  Plan &plan = *plan_;
  plan.giver = &giver;
  plan.argument = argument;
  Cloning cloning;
  if (auto begun = begin(cloning); !begun) return begun.error();
  const long result = clone_and_leave(cloning.arguments, end_giving, &cloning);
  if (result < 0) {
    ::sigprocmask(SIG_SETMASK, &cloning.signals_before, nullptr);
    return errno_error(cloning.attempt, static_cast<int>(-result));
  }
  // Or we would wait for ourselves.
  ::close(cloning.ours.get());
  run_child(entry, argument);
}

}  // namespace paddock::sandbox
