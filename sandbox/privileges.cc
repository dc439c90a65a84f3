#include "sandbox/privileges.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "sandbox/steps.h"

namespace paddock::sandbox {

int become(uid_t uid, gid_t gid) {
  // glibc's wrappers would bring other threads along, and so take a lock.
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) return errno;
  if (::syscall(SYS_setresgid, gid, gid, gid) != 0) return errno;
  return code_of(::syscall(SYS_setresuid, uid, uid, uid));
}

int join_session_keyring() {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS) return errno;
  return 0;
}

int forbid_core_dumps() {
  const rlimit none{0, 0};
  return code_of(::setrlimit(RLIMIT_CORE, &none));
}

int drop_capabilities() {
  constexpr unsigned long kBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, kBits, 0, 0, 0) != 0) return errno;
  // EINVAL: past the last one that the running kernel knows, which may be newer than our headers.
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
  }
  if (errno != EINVAL) return errno;
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return errno;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return code_of(::syscall(SYS_capset, &header, none));
}

int set_no_new_privs() {
  return code_of(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int load_seccomp(const sock_fprog *filter) {
  if (filter == nullptr) return 0;
  return code_of(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter));
}

int set_stdio(const int (&sources)[3]) {
  for (int number = 0; number < 3; ++number) {
    int source = sources[number];
    if (source < 0) {
      source = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      if (source < 0) return errno;
    }
    // It got the number it is to have, where that was closed.
    const int result = source == number ? ::fcntl(number, F_SETFD, 0) : ::dup2(source, number);
    if (result < 0) return errno;
    if (sources[number] < 0 && source > 2) ::close(source);
  }
  return 0;
}

int close_all_but(const int *keep, unsigned count) {
  unsigned first = 3;
  for (unsigned i = 0; i < count; ++i) {
    const auto number = static_cast<unsigned>(keep[i]);
    if (number > first && ::close_range(first, number - 1, 0) != 0) return errno;
    if (number >= first) first = number + 1;
  }
  return code_of(::close_range(first, UINT_MAX, 0));
}

}  // namespace paddock::sandbox
