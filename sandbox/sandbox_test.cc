// Who a sandbox's processes are, what they may do, and how a start fails.
#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "sandbox/detached_tree.h"
#include "sandbox/test_sandbox.h"

using namespace paddock;
using namespace paddock::sandbox;
using Catch::Contains;

namespace {

// A line of /proc/self/status.
std::string status_line(const std::string &status, const std::string &name) {
  std::istringstream lines(status);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(name + ":")) {
      const std::size_t value = line.find_first_not_of(" \t", name.size() + 1);
      return value == std::string::npos ? "" : line.substr(value);
    }
  return "no " + name;
}

std::string own_status() {
  const auto text = read_file("/proc/self/status");
  return text ? *text : text.error().message();
}

}  // namespace

TEST_CASE("the tenant's uid and gid are the only ones, mapped one to one") {
  const HostDirectory host;
  const auto outcome = run(host.home, [&] {
    const auto file = open_file(host.home + "/made", O_WRONLY | O_CREAT | O_EXCL, 0600);
    struct stat status {};
    ::stat("/usr", &status);
    return own_status() + "map: " + *read_file("/proc/self/uid_map") + *read_file("/proc/self/gid_map") +
           "made: " + (file ? "ok" : file.error().message()) + "\nroot is " + std::to_string(status.st_uid);
  });
  CHECK(outcome.failure.empty());
  CHECK(status_line(outcome.said, "Uid") == "54321\t54321\t54321\t54321");
  CHECK(status_line(outcome.said, "Gid") == "54321\t54321\t54321\t54321");
  CHECK(status_line(outcome.said, "Groups").find_first_of("0123456789") == std::string::npos);
  CHECK_THAT(outcome.said,
             Contains("map:      54321      54321          1\n     54321      54321          1\n"));
  CHECK_THAT(outcome.said, Contains("root is 65534"));
  struct stat made {};
  REQUIRE(::stat((host.home + "/made").c_str(), &made) == 0);
  CHECK(made.st_uid == kTenant);
  CHECK(made.st_gid == kTenant);
}

TEST_CASE("no capability is left in any set, and none comes back") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    std::string text = own_status();
    text += "securebits: " + std::to_string(::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)) + "\n";
    text += "clear securebits: " + answer(::prctl(PR_SET_SECUREBITS, 0, 0, 0, 0)) + "\n";
    text += "setuid 0: " + answer(::setuid(0)) + "\n";
    text += "setgid 0: " + answer(::setgid(0)) + "\n";
    text += "setgroups: " + answer(::syscall(SYS_setgroups, 0, nullptr)) + "\n";
    text += "no_new_privs off: " + answer(::prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)) + "\n";
    return text;
  });
  CHECK(outcome.failure.empty());
  for (const char *set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    CHECK(status_line(outcome.said, set) == "0000000000000000");
  CHECK(status_line(outcome.said, "NoNewPrivs") == "1");
  CHECK(status_line(outcome.said, "clear securebits") == "EPERM");
  CHECK(status_line(outcome.said, "setuid 0") == "EINVAL");
  CHECK(status_line(outcome.said, "setgid 0") == "EINVAL");
  CHECK(status_line(outcome.said, "setgroups") == "EPERM");
  CHECK(status_line(outcome.said, "no_new_privs off") == "EINVAL");
}

TEST_CASE("set-user-ID programs gain nothing") {
  const HostDirectory host;
  // One of root's, in the home: the kernel would obey the bit on the host.
  const std::string program = host.home + "/id";
  std::filesystem::copy_file("/usr/bin/id", program);
  REQUIRE(::chmod(program.c_str(), 04755) == 0);
  const auto outcome = run(host.home, [&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const UniqueFd out = *open_file("/tmp/out", O_WRONLY | O_CREAT, 0600);
      ::dup2(out.get(), 1);
      ::execl(program.c_str(), "id", nullptr);
      ::_exit(3);
    }
    ::waitpid(pid, nullptr, 0);
    return *read_file("/tmp/out");
  });
  CHECK(outcome.failure.empty());
  CHECK_THAT(outcome.said, Contains("uid=54321(alice)"));
  CHECK_THAT(outcome.said, !Contains("euid"));
}

TEST_CASE("the kernel refuses what would need a capability") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    std::string text;
    const auto tried = [&](const char *what, long result) {
      text += std::string(what) + ": " + answer(result) + "\n";
    };
    tried("mount", ::mount("none", "/tmp", "tmpfs", 0, nullptr));
    tried("umount", ::umount2("/proc/cmdline", MNT_DETACH));
    tried("remount", ::mount(nullptr, "/usr", nullptr, MS_REMOUNT | MS_BIND, nullptr));
    tried("fsopen", ::fsopen("tmpfs", 0));
    tried("open_tree", ::open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE));
    tried("pivot_root", ::syscall(SYS_pivot_root, "/tmp", "/tmp"));
    tried("chroot", ::chroot("/tmp"));
    tried("unshare mount", ::unshare(CLONE_NEWNS));
    tried("sethostname", ::sethostname("x", 1));
    tried("mknod", ::mknod("/tmp/disk", S_IFBLK | 0600, 0x0801));
    tried("raw socket", ::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    tried("nice", ::setpriority(PRIO_PROCESS, 0, -5));
    tried("kexec, reboot", ::syscall(SYS_reboot, 0xfee1dead, 672274793, 0, nullptr));
    tried("user namespace", ::unshare(CLONE_NEWUSER));
    return text;
  });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said ==
        "mount: EPERM\numount: EPERM\nremount: EPERM\nfsopen: EPERM\nopen_tree: EPERM\npivot_root: EPERM\n"
        "chroot: EPERM\nunshare mount: EPERM\nsethostname: EPERM\nmknod: EPERM\nraw socket: EPERM\nnice: "
        "EACCES\n"
        "kexec, reboot: EPERM\nuser namespace: ENOSPC\n");
}

TEST_CASE("nested user namespaces are made only as the spec allows") {
  const HostDirectory host;
  const Body body = [] { return answer(::unshare(CLONE_NEWUSER)); };
  CHECK(run(host.home, body).said == "ENOSPC");
  CHECK(run(host.home, body, [](SandboxSpec &spec) { spec.max_user_namespaces = 1; }).said == "ok");
}

TEST_CASE("only its own processes exist, and the entry is pid 1") {
  const HostDirectory host;
  const pid_t outside = ::getpid();
  const auto outcome = run(host.home, [&] {
    std::string text = "I am " + std::to_string(::getpid()) + ", parent " + std::to_string(::getppid()) +
                       ", session " + std::to_string(::getsid(0)) + "\n";
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    int count = 0;
    for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") == std::string::npos) ++count;
    }
    text += "processes: " + std::to_string(count) + "\n";
    text += "kill: " + answer(::kill(outside, 0)) + "\n";
    text += "ptrace: " + answer(::ptrace(PTRACE_ATTACH, outside, nullptr, nullptr)) + "\n";
    char byte = 0;
    const iovec here{&byte, 1};
    text += "vm_readv: " + answer(::process_vm_readv(outside, &here, 1, &here, 1, 0)) + "\n";
    text += "pidfd: " + answer(::syscall(SYS_pidfd_open, outside, 0)) + "\n";
    ::waitpid(child, nullptr, 0);
    return text;
  });
  CHECK(outcome.failure.empty());
  CHECK_THAT(outcome.said, Contains("I am 1, parent 0, session 1\n"));
  CHECK_THAT(outcome.said, Contains("processes: 2\n"));
  CHECK_THAT(outcome.said, Contains("kill: ESRCH\nptrace: ESRCH\nvm_readv: ESRCH\npidfd: "));
  CHECK_THAT(outcome.said, Contains("pidfd: ESRCH"));
}

TEST_CASE("pid 1 of a sandbox is not dumpable unless asked") {
  const HostDirectory host;
  const Body body = [] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
      ::_exit(::open("/proc/1/mem", O_RDONLY) >= 0 ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return std::string(WEXITSTATUS(status) == 1 ? "readable" : "hidden");
  };
  CHECK(run(host.home, body, [](SandboxSpec &spec) { spec.dumpable = false; }).said == "hidden");
  CHECK(run(host.home, body, [](SandboxSpec &spec) { spec.dumpable = true; }).said == "readable");
}

TEST_CASE("host name, core limit, signals and umask are set") {
  const HostDirectory host;
  std::string before(65, '\0');
  REQUIRE(::gethostname(before.data(), before.size()) == 0);
  const auto outcome = run(host.home, [] {
    char name[65] = {};
    ::gethostname(name, sizeof name);
    rlimit core{1, 1};
    ::getrlimit(RLIMIT_CORE, &core);
    const mode_t mask = ::umask(0);
    return std::string(name) + " " + std::to_string(core.rlim_max) + " " + std::to_string(mask) + "\n" +
           own_status();
  });
  CHECK_THAT(outcome.said, Catch::StartsWith("alice 0 18\n"));
  CHECK(status_line(outcome.said, "SigBlk") == "0000000000000000");
  CHECK(status_line(outcome.said, "SigCgt") == "0000000000000000");
  std::string after(65, '\0');
  REQUIRE(::gethostname(after.data(), after.size()) == 0);
  CHECK(after == before);
}

TEST_CASE("the session keyring is the sandbox's own") {
  const HostDirectory host;
  const auto outcome = run(
      host.home,
      [] {
        const long outer =
            ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "paddock-test", 0);
        return "search: " + answer(outer);
      },
      [](SandboxSpec &) {
        ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
        REQUIRE(::syscall(SYS_add_key, "user", "paddock-test", "secret", 6, KEY_SPEC_SESSION_KEYRING) > 0);
      });
  CHECK(outcome.said == "search: ENOKEY");
}

TEST_CASE("only the descriptors that are passed exist") {
  const HostDirectory host;
  int secret[2];
  REQUIRE(::pipe(secret) == 0);  // not even CLOEXEC
  const UniqueFd first(secret[0]);
  const UniqueFd second(secret[1]);
  const UniqueFd passed = *open_file("/etc/hostname", O_RDONLY);
  int passed_number = passed.get();
  const auto outcome = run(
      host.home,
      [&] {
        std::vector<std::string> open;
        for (int fd = 0; fd < 1024; ++fd)
          if (::fcntl(fd, F_GETFD) >= 0)
            open.push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)));
        std::string text;
        for (const auto &target : open) text += target.substr(0, target.find(':')) + "\n";
        return text;
      },
      [&](SandboxSpec &spec) { spec.keep_fds.push_back(passed_number); });
  CHECK(outcome.failure.empty());
  // Standard descriptors, the passed one, and the test's own pipe to say this on.
  std::istringstream lines(outcome.said);
  std::vector<std::string> targets;
  for (std::string line; std::getline(lines, line);) targets.push_back(line);
  std::sort(targets.begin(), targets.end());
  REQUIRE(targets.size() == 5);
  CHECK(std::count(targets.begin(), targets.end(), "/dev/null") == 3);
  CHECK(std::count(targets.begin(), targets.end(), "pipe") == 1);
  CHECK(std::count(targets.begin(), targets.end(), "/etc/hostname") == 1);
}

TEST_CASE("standard descriptors are what the spec names") {
  const HostDirectory host;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const auto outcome = run(
      host.home, [] { return answer(::write(2, "to stderr", 9)); },
      [&](SandboxSpec &spec) { spec.stdio[2] = writer; });
  writer.reset();
  CHECK(outcome.said == "ok");
  CHECK(*read_all(reader) == "to stderr");
}

TEST_CASE("a sandbox starts in its cgroup, which is the root of its view of them") {
  const HostDirectory host;
  const std::string mount = [] {
    std::istringstream lines(*read_file("/proc/self/mountinfo"));
    for (std::string line; std::getline(lines, line);)
      if (line.find(" - cgroup2 ") != std::string::npos) {
        std::istringstream words(line);
        std::string word;
        for (int i = 0; i < 5; ++i) words >> word;
        return word;
      }
    return std::string();
  }();
  REQUIRE_FALSE(mount.empty());
  const std::string name = "paddock-sandbox-test-" + std::to_string(::getpid());
  const std::string path = mount + "/" + name;
  REQUIRE(::mkdir(path.c_str(), 0755) == 0);
  const UniqueFd cgroup = *open_file(path, O_PATH | O_DIRECTORY);
  // The host sees where it is; the sandbox sees a root. Its pid there comes from its own /proc on the host.
  const auto outcome = run(
      host.home, [] { return *read_file("/proc/self/cgroup"); },
      [&](SandboxSpec &spec) { spec.cgroup = cgroup; });
  CHECK(outcome.failure.empty());
  CHECK_THAT(outcome.said, Contains("0::/\n"));
  CHECK_THAT(outcome.said, !Contains(name));
  const auto usage = read_file(path + "/cpu.stat");
  REQUIRE(usage.ok());
  CHECK_THAT(*usage, !Contains("usage_usec 0\n"));
  CHECK(::rmdir(path.c_str()) == 0);
}

TEST_CASE("without a network there is nothing but loopback") {
  const HostDirectory host;
  const auto outcome = run(
      host.home,
      [] {
        const UniqueFd server(::socket(AF_INET, SOCK_STREAM, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        std::string text = answer(::bind(server.get(), reinterpret_cast<sockaddr *>(&address), length)) + " ";
        ::listen(server.get(), 1);
        ::getsockname(server.get(), reinterpret_cast<sockaddr *>(&address), &length);
        const UniqueFd client(::socket(AF_INET, SOCK_STREAM, 0));
        text += answer(::connect(client.get(), reinterpret_cast<sockaddr *>(&address), length)) + " ";
        address.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1, TEST-NET-1
        const UniqueFd outward(::socket(AF_INET, SOCK_DGRAM, 0));
        text += answer(::connect(outward.get(), reinterpret_cast<sockaddr *>(&address), length));
        return text;
      },
      [](SandboxSpec &spec) { spec.network = Network::kNone; });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said == "ok ok ENETUNREACH");
}

TEST_CASE("a prepared seccomp filter is in force when the entry runs") {
  const HostDirectory host;
  // getppid() fails with EDOM, all else is allowed.
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EDOM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog filter{4, code};
  const Body body = [] { return answer(::syscall(SYS_getppid)); };
  CHECK(run(host.home, body).said == "ok");
  CHECK(run(host.home, body, [&](SandboxSpec &spec) { spec.seccomp = &filter; }).said == "EDOM");
  const sock_fprog empty{0, code};
  const auto refused = run(host.home, body, [&](SandboxSpec &spec) { spec.seccomp = &empty; });
  CHECK(refused.failure == "build the sandbox of alice: load the seccomp filter: Invalid argument");
  CHECK(refused.said.empty());
}

TEST_CASE("a failed step is named, with its object, and the entry does not run") {
  const HostDirectory host;
  const auto tree = open_detached_tree(host.neighbour, {});
  REQUIRE(tree.ok());
  const Body body = [] { return std::string("ran"); };
  const auto outcome = run(host.home, body, [&](SandboxSpec &spec) {
    spec.binds.push_back({*tree, "/usr/no/such/place"});
  });
  CHECK(outcome.failure == "build the sandbox of alice: bind /usr/no/such/place: Read-only file system");
  CHECK(outcome.said.empty());
  CHECK(outcome.status.code == 127);

  const UniqueFd no_tree = *open_file("/dev/null", O_RDONLY);
  const auto not_detached = run(host.home, body, [&](SandboxSpec &spec) {
    spec.binds.push_back({no_tree, "/srv/x"});
  });
  CHECK_THAT(not_detached.failure, Contains("bind /srv/x"));
}

TEST_CASE("specs that cannot work are refused before anything is cloned") {
  const HostDirectory host;
  const auto tree = open_detached_tree(host.home, {.owner = kTenant});
  REQUIRE(tree.ok());
  const std::pair<std::string, Adjust> cases[] = {
      {"uid and gid must not be root's", [](SandboxSpec &spec) { spec.uid = 0; }},
      {"uid and gid must not be root's", [](SandboxSpec &spec) { spec.gid = 0; }},
      {"no name", [](SandboxSpec &spec) { spec.name.clear(); }},
      {"no user or home that passwd can hold", [](SandboxSpec &spec) { spec.user = "a:b"; }},
      {"no user or home that passwd can hold", [](SandboxSpec &spec) { spec.home = "/home/a\nroot"; }},
      {"no home", [](SandboxSpec &spec) { spec.home_tree = {}; }},
      {"tmp_bytes below 65536", [](SandboxSpec &spec) { spec.tmp_bytes = 1; }},
      {"descriptors 0 to 2 are set by stdio, not kept",
       [](SandboxSpec &spec) { spec.keep_fds.push_back(1); }},
      {"descriptor 900: Bad file descriptor", [](SandboxSpec &spec) { spec.keep_fds.push_back(900); }},
  };
  const std::pair<std::string, std::string> homes[] = {
      {"/home/../etc", "no plain absolute path"},
      {"relative", "no plain absolute path"},
      {"/a//b", "no plain absolute path"},
      {"/a/", "no plain absolute path"},
      {"/", "no plain absolute path"},
      {"/usr", "would hide a part of the view"},
      {"/etc", "would hide a part of the view"},
      {"/proc", "would hide a part of the view"},
      {"/proc/1", "would hide a part of the view"},
      {"/dev/null", "would hide a part of the view"},
      {"/lib64", "would hide a part of the view"},
      {"/var", "would hide a part of the view"},
  };
  const auto said = in_base_view([&](const BaseView &base) {
    std::string wrong;
    const auto expect = [&](const std::string &message, const Adjust &adjust) {
      SandboxSpec spec;
      spec.name = "alice";
      spec.uid = spec.gid = kTenant;
      spec.user = "alice";
      spec.home = host.home;
      spec.home_tree = *tree;
      adjust(spec);
      const auto prepared = PreparedSandbox::prepare(base, spec);
      const std::string got = prepared ? "accepted" : prepared.error().message();
      if (got.find(message) == std::string::npos) wrong += got + " instead of " + message + "\n";
    };
    for (const auto &[message, adjust] : cases) expect(message, adjust);
    for (const auto &[home, message] : homes)
      expect("bind " + home + ": " + message, [&home = home](SandboxSpec &spec) { spec.home = home; });
    return "wrong: " + wrong;
  });
  CHECK(said == "wrong: ");
}

TEST_CASE("a sandbox outlives the one who cloned it, as a child of its parent") {
  const HostDirectory host;
  const auto tree = open_detached_tree(host.home, {.owner = kTenant});
  REQUIRE(tree.ok());
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  int life[2];
  REQUIRE(::pipe2(life, O_CLOEXEC) == 0);
  const UniqueFd life_reader(life[0]);
  UniqueFd life_writer(life[1]);
  int life_number = life_reader.get();

  const std::string said = in_base_view([&](const BaseView &base) {
    SandboxSpec spec;
    spec.name = "alice";
    spec.uid = spec.gid = kTenant;
    spec.user = "alice";
    spec.home = host.home;
    spec.home_tree = *tree;
    spec.parent_of_caller = true;
    spec.keep_fds = {life_number};
    auto prepared = PreparedSandbox::prepare(base, spec);
    if (!prepared) return prepared.error().message();
    // Lives until the test closes its end.
    auto spawned = prepared->spawn(
        [](void *number, ViewGate &) {
          char byte = 0;
          return ::read(*static_cast<int *>(number), &byte, 1) == 0 ? 7 : 8;
        },
        &life_number);
    if (!spawned) return spawned.error().message();
    if (spawned->failure) return spawned->failure->message();
    return std::to_string(spawned->child.pid());
  });
  const pid_t pid = std::atoi(said.c_str());
  INFO(said);
  REQUIRE(pid > 0);
  CHECK(::waitpid(pid, nullptr, WNOHANG | __WALL) == 0);  // ours, and still there
  life_writer.reset();
  int status = 0;
  CHECK(::waitpid(pid, &status, __WALL) == pid);
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("a hundred starts leave nothing behind") {
  const HostDirectory host;
  const auto count_fds = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const std::string mounts_before = mounts();
  const auto fds_before = count_fds();
  const int children_before = count_children();
  std::vector<UniqueFd> trees;
  for (int i = 0; i < 100; ++i) trees.push_back(*open_detached_tree(host.home, {.owner = kTenant}));

  const std::string said = in_base_view([&](const BaseView &base) {
    const std::string inner_mounts = mounts();
    const auto inner_fds = count_fds();
    std::vector<long> took;
    for (const auto &tree : trees) {
      SandboxSpec spec;
      spec.name = "alice";
      spec.uid = spec.gid = kTenant;
      spec.user = "alice";
      spec.home = host.home;
      spec.home_tree = tree;
      auto prepared = PreparedSandbox::prepare(base, spec);
      if (!prepared) return prepared.error().message();
      auto spawned = prepared->spawn([](void *, ViewGate &) { return 5; }, nullptr);
      if (!spawned) return spawned.error().message();
      if (spawned->failure) return spawned->failure->message();
      took.push_back(spawned->took.count());
      pollfd ended{spawned->child.pidfd().get(), POLLIN, 0};
      ::poll(&ended, 1, 10'000);
      const auto status = spawned->child.try_reap();
      if (!status || !*status || (*status)->code != 5) return std::string("bad exit");
    }
    if (mounts() != inner_mounts) return std::string("mounts left in the zygote");
    if (count_fds() != inner_fds) return std::string("descriptors left in the zygote");
    if (::waitpid(-1, nullptr, WNOHANG | __WALL) != -1) return std::string("processes left");
    std::sort(took.begin(), took.end());
    return "median " + std::to_string(took[took.size() / 2]) + " us, worst " + std::to_string(took.back()) +
           " us";
  });
  CHECK_THAT(said, Catch::StartsWith("median "));
  WARN("100 starts: " << said);
  trees.clear();
  CHECK(mounts() == mounts_before);
  CHECK(count_fds() == fds_before);
  CHECK(count_children() == children_before);
}
