// The shipped profiles, compiled, as the kernel would run them: every system call number, by an interpreter
// of classic BPF (Documentation/networking/filter.rst).
#include "policies/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <set>

#include "policies/config_test.h"
#include "policies/grants.h"

using namespace paddock;
using namespace paddock::policies;

namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t refused(int error) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
}

struct Filter {
  std::vector<sock_filter> program;

  std::uint32_t run(const seccomp_data &data) const {
    std::uint32_t a = 0;
    std::uint32_t x = 0;
    std::array<std::uint32_t, BPF_MEMWORDS> memory{};
    for (std::size_t pc = 0; pc < program.size(); ++pc) {
      const sock_filter &in = program[pc];
      const auto jump = [&](bool yes) { pc += yes ? in.jt : in.jf; };
      switch (in.code) {
        case BPF_LD | BPF_W | BPF_ABS:
          REQUIRE(in.k + 4 <= sizeof data);
          std::memcpy(&a, reinterpret_cast<const char *>(&data) + in.k, 4);
          break;
        case BPF_LD | BPF_IMM:
          a = in.k;
          break;
        case BPF_LD | BPF_MEM:
          a = memory.at(in.k);
          break;
        case BPF_ST:
          memory.at(in.k) = a;
          break;
        case BPF_MISC | BPF_TAX:
          x = a;
          break;
        case BPF_MISC | BPF_TXA:
          a = x;
          break;
        case BPF_ALU | BPF_AND | BPF_K:
          a &= in.k;
          break;
        case BPF_JMP | BPF_JA:
          pc += in.k;
          break;
        case BPF_JMP | BPF_JEQ | BPF_K:
          jump(a == in.k);
          break;
        case BPF_JMP | BPF_JGT | BPF_K:
          jump(a > in.k);
          break;
        case BPF_JMP | BPF_JGE | BPF_K:
          jump(a >= in.k);
          break;
        case BPF_JMP | BPF_JSET | BPF_K:
          jump((a & in.k) != 0);
          break;
        case BPF_RET | BPF_K:
          return in.k;
        default:
          FAIL("an instruction that libseccomp has not made before: " << in.code);
      }
    }
    FAIL("the program ends without an answer");
    return 0;
  }

  std::uint32_t operator()(long number, std::array<std::uint64_t, 6> arguments = {},
                           std::uint32_t arch = AUDIT_ARCH_X86_64) const {
    seccomp_data data{static_cast<int>(number), arch, 0, {}};
    std::copy(arguments.begin(), arguments.end(), data.args);
    return run(data);
  }
};

Filter filter_of(const std::string &name, bool learning = false) {
  const Machine machine = test_machine();
  std::vector<Diagnostic> diagnostics;
  SeccompProfiles profiles(machine, "");
  const auto bytes = profiles.filter(name, learning, diagnostics);
  for (const auto &found : diagnostics) UNSCOPED_INFO(found.to_string());
  REQUIRE(bytes);
  Filter filter;
  filter.program.resize(bytes->size() / sizeof(sock_filter));
  std::memcpy(filter.program.data(), bytes->data(), bytes->size());
  return filter;
}

std::shared_ptr<const SeccompProfile> profile_of(const std::string &name) {
  static const Machine machine = test_machine();
  std::vector<Diagnostic> diagnostics;
  return SeccompProfiles(machine, "").find(name, diagnostics);
}

// Beyond what any kernel has, and where x32 begins.
constexpr int kNumbers = 1024;
constexpr int kX32 = 0x40000000;
// Arguments that no check of a shipped profile allows.
constexpr std::array<std::uint64_t, 6> kOdd = {0x7e02ff77, 0x6f77, 0x6f77, 0x6f77, 0x6f77, 0x6f77};

// What must never be allowed, written down a second time: a profile that loses one fails here.
constexpr long kDangerous[] = {
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_ioperm,
    SYS_iopl,
    SYS_syslog,
    SYS_acct,
    SYS_quotactl,
    SYS_vhangup,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_seccomp,
    SYS_modify_ldt,
    SYS_vmsplice,

    SYS_process_madvise,
    SYS_move_pages,
    SYS_migrate_pages,
    SYS_mbind,
    SYS_lookup_dcookie,
    SYS_kexec_file_load,
    SYS_clock_adjtime,
    SYS_io_setup,
    SYS_io_submit,
};

// What a PHP worker cannot do without.
constexpr long kNeeded[] = {
    SYS_read,       SYS_write,     SYS_openat,  SYS_close,        SYS_mmap,      SYS_munmap,
    SYS_brk,        SYS_futex,     SYS_poll,    SYS_accept4,      SYS_recvfrom,  SYS_sendto,
    SYS_exit_group, SYS_wait4,     SYS_fork,    SYS_rt_sigaction, SYS_setitimer, SYS_epoll_wait,
    SYS_newfstatat, SYS_getrandom, SYS_connect, SYS_memfd_create, SYS_mremap,    SYS_rt_sigreturn};

}  // namespace

TEST_CASE("a filter answers every number as its profile says") {
  for (const auto &name : SeccompProfiles::names()) {
    for (const bool learning : {false, true}) {
      const auto profile = profile_of(name);
      REQUIRE(profile);
      const Filter filter = filter_of(name, learning);
      CHECK(filter.program.size() < BPF_MAXINSNS);
      const std::uint32_t unknown = learning ? std::uint32_t{SECCOMP_RET_LOG} : refused(ENOSYS);
      for (int number = 0; number < kNumbers; ++number) {
        const std::string call = syscall_name(number);
        INFO(name << ": " << number << " " << call);
        const auto rule = profile->rules.find(call);
        if (call.empty() || rule == profile->rules.end()) {
          CHECK(filter(number) == unknown);
          CHECK(filter(number, kOdd) == unknown);
        } else if (rule->second.kind == SyscallRule::Kind::kAllow) {
          CHECK(filter(number) == kAllow);
          CHECK(filter(number, kOdd) == kAllow);
        } else if (rule->second.kind == SyscallRule::Kind::kRefuse) {
          CHECK(filter(number) == refused(rule->second.error));
          CHECK(filter(number, kOdd) == refused(rule->second.error));
        } else {
          CHECK(filter(number, kOdd) == refused(rule->second.error));
          for (const auto &check : rule->second.checks) {
            for (const bool high_half : {false, true}) {
              for (const auto value : check.allow) {
                std::array<std::uint64_t, 6> arguments = kOdd;
                arguments[check.argument] = value | (high_half ? 0xdeadbeef00000000U : 0);
                if (check.also) {
                  CHECK(filter(number, arguments) == refused(rule->second.error));
                  arguments[check.also->first] = check.also->second;
                }
                CHECK(filter(number, arguments) == kAllow);
              }
              // The kernel looks at the low half alone: so must the filter, or the high half were a way past
              // it.
              for (const auto value : check.refuse) {
                std::array<std::uint64_t, 6> arguments = kOdd;
                arguments[check.argument] = value | (high_half ? 0xdeadbeef00000000U : 0);
                CHECK(filter(number, arguments) == refused(EPERM));
              }
            }
          }
        }
      }
    }
  }
}

TEST_CASE("no shipped profile allows what leads out of a sandbox") {
  for (const auto &name : SeccompProfiles::names()) {
    const Filter filter = filter_of(name);
    for (const long number : kDangerous) {
      INFO(name << ": " << syscall_name(static_cast<int>(number)));
      CHECK(filter(number) == refused(EPERM));
    }
    for (const long number : kNeeded) {
      INFO(name << ": " << syscall_name(static_cast<int>(number)));
      CHECK(filter(number) == kAllow);
    }
    CHECK(filter(SYS_clone3) == refused(ENOSYS));
    CHECK(filter(-1) != kAllow);
  }
}

TEST_CASE("arguments are looked at where they matter") {
  const Filter filter = filter_of("default");
  for (const std::uint32_t space :
       std::initializer_list<std::uint32_t>{CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                            CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    CHECK(filter(SYS_clone, {space | 17}) == refused(EPERM));
    CHECK(filter(SYS_clone, {space | 17U | 0x100000000U}) == refused(EPERM));
  }
  CHECK(filter(SYS_clone, {17}) == kAllow);
  CHECK(filter(SYS_clone, {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES}) == kAllow);
  CHECK(filter(SYS_ioctl, {0, TIOCSTI}) == refused(EPERM));
  CHECK(filter(SYS_ioctl, {0, TIOCSTI | 0x100000000U}) == refused(EPERM));
  CHECK(filter(SYS_ioctl, {0, TIOCLINUX}) == refused(EPERM));
  CHECK(filter(SYS_ioctl, {0, FIONREAD}) == kAllow);
  CHECK(filter(SYS_ioctl, {0, 0xc0045877}) == refused(ENOTTY));
  CHECK(filter(SYS_socket, {AF_INET, SOCK_STREAM}) == kAllow);
  CHECK(filter(SYS_socket, {AF_NETLINK, SOCK_RAW, 0}) == kAllow);
  CHECK(filter(SYS_socket, {AF_NETLINK, SOCK_RAW, 12}) == refused(EAFNOSUPPORT));
  for (const int family :
       {AF_PACKET, AF_ALG, AF_VSOCK, AF_BLUETOOTH, AF_KEY, AF_TIPC, AF_XDP, AF_CAN, AF_RDS})
    CHECK(filter(SYS_socket, {static_cast<std::uint64_t>(family), SOCK_RAW}) == refused(EAFNOSUPPORT));
  CHECK(filter(SYS_prctl, {PR_SET_NAME}) == kAllow);
  CHECK(filter(SYS_prctl, {PR_SET_SECCOMP}) == refused(EPERM));
  CHECK(filter(SYS_personality, {0x0400000}) == refused(EPERM));  // READ_IMPLIES_EXEC
  CHECK(filter(SYS_personality, {0xffffffff}) == kAllow);
  CHECK(filter(SYS_mknodat, {0, 0, S_IFCHR | 0666}) == refused(EPERM));
  CHECK(filter(SYS_mknodat, {0, 0, S_IFIFO | 0600}) == kAllow);
}

TEST_CASE("calls by another architecture's numbers kill the process") {
  const Filter filter = filter_of("default");
  CHECK(filter(SYS_read, {}, AUDIT_ARCH_I386) == std::uint32_t{SECCOMP_RET_KILL_PROCESS});
  CHECK(filter(kX32 | SYS_read) == std::uint32_t{SECCOMP_RET_KILL_PROCESS});
  CHECK(filter(kX32 | 520) == std::uint32_t{SECCOMP_RET_KILL_PROCESS});  // execve of x32
}

TEST_CASE("strict allows no other program, shell allows debuggers") {
  CHECK(filter_of("strict")(SYS_execve) == refused(EPERM));
  CHECK(filter_of("strict")(SYS_listen) == refused(EPERM));
  CHECK(filter_of("default")(SYS_execve) == kAllow);
  CHECK(filter_of("default")(SYS_ptrace) == refused(EPERM));
  CHECK(filter_of("shell")(SYS_ptrace) == kAllow);
  CHECK(filter_of("shell")(SYS_personality, {0x0040000}) == kAllow);
}

namespace {

// A machine whose only file is the profile `own`.
Machine with_profile(const std::string &text) {
  Machine machine = test_machine();
  machine.exists = [](const std::string &path) { return path == "/profiles/own.toml"; };
  machine.read = [text](const std::string &, std::size_t) -> Result<std::string> { return text; };
  return machine;
}

std::string first_problem(const std::string &profile, const std::string &more = "") {
  const auto loaded =
      parse_config("[runtime]\nseccomp_dir = \"/profiles\"\n[plan.a]\nseccomp = \"own\"\n" + more,
                   "/etc/paddock.toml", with_profile(profile));
  return loaded.diagnostics.empty() ? "" : loaded.diagnostics.front().to_string();
}

constexpr const char *kGrant = "[[plan.a.grant]]\nname = \"seccomp\"\nreason = \"a debugger\"\n";

}  // namespace

TEST_CASE("what is wrong with a profile is told with file and line") {
  const auto contains = [](const char *part) { return Catch::Matchers::Contains(part); };
  const std::string head = "[[allow]]\ngroup = \"g\"\nreason = \"r\"\n";
  CHECK_THAT(
      first_problem(head + "syscalls = [\"read\", \"opnat\"]\n"),
      contains("/profiles/own.toml:4:21: error: allow.syscalls: there is no system call \"opnat\"; did you "
               "mean \"openat\"?"));
  CHECK_THAT(first_problem(head + "syscalls = [\"read\", \"read\"]\n"),
             contains("own.toml:4:21: error: allow.syscalls"));
  CHECK_THAT(first_problem("[[allow]]\ngroup = \"g\"\nsyscalls = [\"read\"]\n"), contains("own.toml:1:"));
  CHECK_THAT(first_problem("[[allow]]\ngroup = \"g\"\nreason = \" \"\nsyscalls = [\"read\"]\n"),
             contains("own.toml:3:"));
  CHECK_THAT(
      first_problem("[[refuse]]\ngroup = \"g\"\nreason = \"r\"\nerrno = \"EWHAT\"\nsyscalls = [\"read\"]\n"),
      contains("own.toml:4:"));
  CHECK_THAT(
      first_problem("[[check]]\ngroup = \"g\"\nreason = \"r\"\nsyscall = \"socket\"\nargument = 0\nallow = "
                    "[\"AF_INTE\"]\n"),
      contains("did you mean \"AF_INET\"?"));
  CHECK_THAT(
      first_problem(
          "[[check]]\ngroup = \"g\"\nreason = \"r\"\nsyscall = \"socket\"\nargument = 6\nallow = [1]\n"),
      contains("own.toml:5:"));
  CHECK_THAT(first_problem("inherits = \"defualt\"\n"), contains("own.toml:1:1: error: inherits"));
  CHECK_THAT(first_problem("inherits = \"own\"\n"), contains("own.toml:1:1: error: inherits"));
  CHECK_THAT(first_problem("[[allow\n"), contains("own.toml:1:"));
  CHECK_THAT(first_problem(""), contains("names no system call"));
  CHECK(first_problem("inherits = \"strict\"\n").empty());
}

TEST_CASE("a profile that allows more than the default needs a grant with a reason") {
  const std::string more =
      "inherits = \"default\"\n[[allow]]\ngroup = \"g\"\nreason = \"r\"\nsyscalls = [\"ptrace\"]\n";
  CHECK_THAT(first_problem(more),
             Catch::Matchers::Contains("/etc/paddock.toml:4:1: error: plan.a.seccomp: the profile "
                                       "\"own\" allows what \"default\" does not (ptrace)"));
  CHECK(first_problem(more, kGrant).empty());
  CHECK_THAT(first_problem(more, "[[plan.a.grant]]\nname = \"seccomp\"\n"),
             Catch::Matchers::Contains(":5:1: error: plan.a.grant.reason: missing"));
  CHECK_THAT(first_problem(more, "[[plan.a.grant]]\nname = \"seccomp\"\nreason = \"  \"\n"),
             Catch::Matchers::Contains("plan.a.grant.reason"));
  const auto shell = parse("[plan.a]\nseccomp = \"shell\"\n");
  CHECK_FALSE(shell.config);
  const auto missing = parse("[plan.a]\nseccomp = \"shel\"\n");
  REQUIRE(missing.diagnostics.size() == 1);
  CHECK(missing.diagnostics.front().nearest == "shell");
}
