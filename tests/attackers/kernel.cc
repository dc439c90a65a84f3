// The kernel's own surface: every call that the default profile refuses is made, with arguments that harm
// nobody where it is not refused, and the calls whose arguments decide.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"

namespace paddock::attackers {
namespace {

// -1 is no address, no descriptor, no flags, no command. As root these answer EFAULT, EINVAL, EBADF, ENOSYS.
struct Call {
  const char *name;
  long number;
};
constexpr Call kRefused[] = {
    {"call-mount", SYS_mount},
    {"call-umount2", SYS_umount2},
    {"call-pivot_root", SYS_pivot_root},
    {"call-chroot", SYS_chroot},
    {"call-open_tree", SYS_open_tree},
    {"call-move_mount", SYS_move_mount},
    {"call-fsopen", SYS_fsopen},
    {"call-fsconfig", SYS_fsconfig},
    {"call-fsmount", SYS_fsmount},
    {"call-fspick", SYS_fspick},
    {"call-mount_setattr", 442},
    {"call-unshare", SYS_unshare},
    {"call-setns", SYS_setns},
    {"call-sethostname", SYS_sethostname},
    {"call-setdomainname", SYS_setdomainname},
    {"call-process_vm_readv", SYS_process_vm_readv},
    {"call-process_vm_writev", SYS_process_vm_writev},
    {"call-process_madvise", SYS_process_madvise},
    {"call-kcmp", SYS_kcmp},
    {"call-bpf", SYS_bpf},
    {"call-perf_event_open", SYS_perf_event_open},
    {"call-userfaultfd", SYS_userfaultfd},
    {"call-io_uring_setup", SYS_io_uring_setup},
    {"call-io_uring_enter", SYS_io_uring_enter},
    {"call-io_uring_register", SYS_io_uring_register},
    {"call-io_setup", SYS_io_setup},
    {"call-io_submit", SYS_io_submit},
    {"call-vmsplice", SYS_vmsplice},
    {"call-modify_ldt", SYS_modify_ldt},
    {"call-memfd_secret", 447},
    {"call-remap_file_pages", SYS_remap_file_pages},
    {"call-add_key", SYS_add_key},
    {"call-request_key", SYS_request_key},
    {"call-keyctl", SYS_keyctl},
    {"call-init_module", SYS_init_module},
    {"call-finit_module", SYS_finit_module},
    {"call-delete_module", SYS_delete_module},
    {"call-kexec_load", SYS_kexec_load},
    {"call-kexec_file_load", SYS_kexec_file_load},
    {"call-reboot", SYS_reboot},
    {"call-swapon", SYS_swapon},
    {"call-swapoff", SYS_swapoff},
    {"call-settimeofday", SYS_settimeofday},
    {"call-clock_settime", SYS_clock_settime},
    {"call-clock_adjtime", SYS_clock_adjtime},
    {"call-adjtimex", SYS_adjtimex},
    {"call-ioperm", SYS_ioperm},
    {"call-iopl", SYS_iopl},
    {"call-syslog", SYS_syslog},
    {"call-acct", SYS_acct},
    {"call-quotactl", SYS_quotactl},
    {"call-syncfs", SYS_syncfs},
    {"call-name_to_handle_at", SYS_name_to_handle_at},
    {"call-open_by_handle_at", SYS_open_by_handle_at},
    {"call-fanotify_init", SYS_fanotify_init},
    {"call-fanotify_mark", SYS_fanotify_mark},
    {"call-mbind", SYS_mbind},
    {"call-set_mempolicy", SYS_set_mempolicy},
    {"call-migrate_pages", SYS_migrate_pages},
    {"call-move_pages", SYS_move_pages},
    {"call-capset", SYS_capset},
    {"call-seccomp", SYS_seccomp},
    {"call-ptrace", SYS_ptrace},
};

// A system call by the numbers of 32-bit programs: getpid is 20 there, which is writev in ours.
std::string by_int80() {
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return "ok";
}

std::string on_terminal(unsigned long command) {
  int terminal = ::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) terminal = 0;
  char byte = 'x';
  return said(::ioctl(terminal, command, &byte));
}

std::string own_filter() {
  sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program{1, allow};
  return said(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

}  // namespace

void add_kernel_attempts(Attempts &attempts) {
  for (const auto &[name, number] : kRefused)
    attempts.push_back({name, "makes the call", "EPERM", Control::kRoot, "*",
                        [number = number] { return said(::syscall(number, -1L, -1L, -1L, -1L, -1L, -1L)); }});
  const auto root = Control::kRoot;
  const auto user = Control::kUser;
  const Attempts own = {
      {"call-of-tomorrow", "makes a call that the profile does not know", "ENOSYS", Control::kNone, "",
       [] { return said(::syscall(SYS_mlockall, 64L)); },
       "its answer there is that of a kernel which has no such call"},
      {"int80", "makes a call by the numbers of another architecture", "killed by SIGSYS", user, "*",
       by_int80},
      {"x32", "makes a call by x32's numbers", "killed by SIGSYS", user, "*",
       [] { return said(::syscall(0x40000000L | SYS_getpid)); }},
      {"tiocsti", "types into the terminal", "EPERM", root, "*", [] { return on_terminal(TIOCSTI); }},
      {"tiocsti-high-half", "the same with the upper half of the number set, which the kernel drops", "EPERM",
       root, "*", [] { return said(::syscall(SYS_ioctl, 0, TIOCSTI | 0x100000000UL, "x")); }},
      {"tioclinux", "pastes into the console", "EPERM", root, "*", [] { return on_terminal(TIOCLINUX); }},
      {"keyring-session", "looks for keys in its session", "EPERM", user, "ok",
       [] { return said(::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 1)); }},
      {"keyring-user", "shares keys with processes of its uid outside", "EPERM", user, "ok",
       [] { return said(::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -4, 1)); }},
      {"personality-exec", "makes what it reads executable", "EPERM", user, "ok",
       [] { return said(::personality(READ_IMPLIES_EXEC)); }},
      {"personality-aslr", "switches the random addresses off", "EPERM", user, "ok",
       [] { return said(::personality(ADDR_NO_RANDOMIZE)); }},
      {"prctl-securebits", "changes what capabilities root has", "EPERM", root, "ok",
       [] { return said(::prctl(PR_SET_SECUREBITS, 0, 0, 0, 0)); }},
      {"prctl-ambient", "raises an ambient capability", "EPERM", root, "*",
       [] { return said(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 999, 0, 0)); }},
      {"prctl-mm", "moves its own memory map's marks", "EPERM", Control::kNone, "",
       [] { return said(::prctl(PR_SET_MM, 999, 0, 0, 0)); },
       "takes CAP_SYS_RESOURCE, which a container's root may lack"},
      {"own-filter", "puts a filter of its own over ours", "EPERM", root, "ok", own_filter},
      {"dmesg", "reads the kernel's log", "EPERM", root, "ok",
       [] {
         char buffer[64];
         return said(::syscall(SYS_syslog, 3, buffer, sizeof buffer));
       }},
  };
  attempts.insert(attempts.end(), own.begin(), own.end());
}

}  // namespace paddock::attackers
