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
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "sandbox/paths.h"
#include "sandbox/privileges.h"
#include "sandbox/steps.h"
#include "sandbox/view.h"

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
  std::vector<int> keep;  // ascending; the report's descriptor joins it in spawn()
  std::array<UniqueFd, 3> stdio;
  bool parent_of_caller = false;
  bool dumpable = false;
  const sock_fprog *seccomp = nullptr;
  bool used = false;

  // Of the child.
  int report = -1;
  const char *object = "";
};

namespace {

constexpr char kMapsWritten = 'm';

// The steps' context: a plan. Forwards to the view's functions, whose object becomes the step's.
template <int (*action)(view::Plan &), typename Plan>
int in_view(Plan &plan) {
  plan.view.object = "";
  const int code = action(plan.view);
  plan.object = plan.view.object;
  return code;
}

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

// The capabilities of a new user namespace are there from the clone on; what they may be used on is not
// before the maps.
template <typename Plan>
constexpr Step<Plan> kSteps[] = {
    {"wait for the uid map",
     [](Plan &plan) {
       char byte = 0;
       const ssize_t got = ::read(plan.report, &byte, 1);
       return got == 1 && byte == kMapsWritten ? 0 : got < 0 ? errno : EPIPE;
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
    {"mount the view's tmpfs", in_view<view::make_tmpfs, Plan>},
    {"show a part of the host", in_view<view::show_base, Plan>},
    {"show a writable directory", in_view<view::show_writable, Plan>},
    {"mount /proc", in_view<view::mount_proc, Plan>},
    {"limit user namespaces", in_view<view::limit_user_namespaces, Plan>},
    {"hide a part of /proc", in_view<view::mask_proc, Plan>},
    {"bind", in_view<view::bind_trees, Plan>},
    {"enter the view", in_view<view::enter, Plan>},
    {"set standard descriptors",
     [](Plan &plan) {
       const int sources[3] = {plan.stdio[0].get(), plan.stdio[1].get(), plan.stdio[2].get()};
       return set_stdio(sources);
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
[[noreturn]] void run_child(Plan &plan, const sigset_t &no_signals, PreparedSandbox::Entry entry,
                            void *argument) {
  const StepReport report = run_steps(std::span<const Step<Plan>>(kSteps<Plan>), plan);
  const bool told = ::write(plan.report, &report, sizeof report) == sizeof report;
  if (!told || report.step != StepReport::kAllDone) ::_exit(127);
  ::close(plan.report);
  ::sigprocmask(SIG_SETMASK, &no_signals, nullptr);
  ::_exit(entry(argument));
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
  report.object[sizeof report.object - 1] = '\0';
  constexpr std::size_t kCount = std::size(kSteps<Plan>);
  std::string step = report.step < kCount ? kSteps<Plan>[report.step].name : "?";
  if (report.object[0] != '\0') step += std::string(" ") + report.object;
  return errno_error(attempt + ": " + step, report.code);
}

}  // namespace

Result<Spawned> PreparedSandbox::spawn(Entry entry, void *argument) {
  Plan &plan = *plan_;
  const std::string attempt = "clone the sandbox of " + plan.name;
  if (plan.used) return errno_error(attempt + ": used already", EINVAL);
  plan.used = true;

  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno_error(attempt);
  UniqueFd ours(ends[0]);
  UniqueFd first(ends[1]);
  PADDOCK_TRY(UniqueFd theirs, lifted(first));
  first.reset();
  plan.report = theirs.get();
  plan.keep.insert(std::upper_bound(plan.keep.begin(), plan.keep.end(), plan.report), plan.report);

  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD |
                    CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
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
  // glibc keeps the thread's id; fork() corrects it through this pair of flags.
  void *tid_address = nullptr;
  if (::prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) == 0) {
    arguments.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    arguments.child_tid = reinterpret_cast<std::uintptr_t>(tid_address);
  }

  const auto start = std::chrono::steady_clock::now();
  // The clone inherits the caller's network. Only the caller has rights over one that it did not make.
  UniqueFd own_network;
  if (plan.network == Network::kGiven) {
    PADDOCK_TRY(own_network, open_file("/proc/self/ns/net", O_RDONLY));
    if (::setns(plan.network_namespace.get(), CLONE_NEWNET) != 0)
      return errno_error(attempt + ": enter its network namespace");
  }
  // A signal between clone and the child's first step would run a handler of ours in the child.
  sigset_t all;
  sigset_t before;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  const int clone_code = errno;
  if (pid == 0) {
    // Or its copy of our end would keep it waiting for the map after we have died.
    ::close(ours.get());
    run_child(plan, none, entry, argument);
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  // Where the caller would clone everybody else from a tenant's network, it clones nobody any more.
  if (own_network.valid() && ::setns(own_network.get(), CLONE_NEWNET) != 0) std::abort();
  plan.network_namespace.reset();
  if (pid < 0) return errno_error(attempt, clone_code);

  Spawned spawned{Child(pid, UniqueFd(pidfd)), {}, {}};
  theirs.reset();
  auto built = write_map(pid, "uid_map", plan.map_uid);
  if (built) built = write_map(pid, "gid_map", plan.map_gid);
  if (built) built = write_all(ours, std::string_view(&kMapsWritten, 1));
  if (built) {
    built = read_report(plan, ours, spawned.child);
  } else {
    [[maybe_unused]] const auto killed = spawned.child.signal(SIGKILL);
  }
  if (!built) spawned.failure = std::move(built).error();
  spawned.took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  return spawned;
}

}  // namespace paddock::sandbox
