// A sandbox: the namespaces, view and rights in which a tenant's processes run.
//
//     BaseView::enter()  once, in the zygote
//     PreparedSandbox::prepare(view, spec)  all that needs memory
//     prepared.spawn(entry, argument)  clone3(2), and the steps of kSteps (sandbox.cc) in the child
//
// The child is pid 1 of new user, mount, pid, ipc, uts, cgroup and (as asked) network namespaces. Its uid and
// gid are mapped one to one and are the only ones mapped: files it makes belong to the tenant on the host;
// uid 0 does not exist for it. It has no capability in any set, locked securebits, no_new_privs, a session
// keyring of its own, RLIMIT_CORE 0, no controlling terminal, and cannot make user namespaces. Its view
// (read-only where not said otherwise):
//
//   /                       a tmpfs; /usr /bin /lib* /sbin /etc /dev and BaseViewOptions::paths of the base
//   view /etc/passwd /etc/group  root, nobody, the tenant /proc                   of its pid namespace;
//   kernel-wide files that tell about the host hidden (kProcMasks) /tmp /var/tmp /dev/shm  writable, 1777,
//   nosuid, nodev; with the next, together at most tmp_bytes /var/lib/php/sessions   writable, the tenant's,
//   0700: PHP's default session.save_path. Like /tmp it is gone when the
//                           sandbox stops; a writable bind at this path makes sessions outlive that
//   the home, the binds     where the host has them, or at their targets; parents are made
//   /run /home /var         otherwise empty
//
// What this does not do: with Network::kHost the tenant sees the host's sockets in /proc/net/unix,
// /proc/net/tcp, their paths included (as they were passed to bind(2)).
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/base_view.h"

namespace paddock::sandbox {

enum class Network : std::uint8_t {
  kHost,   // the creator's network namespace
  kNone,   // a new one with nothing but loopback, which is up
  kGiven,  // SandboxSpec::network_namespace. If the host's user namespace owns it, nobody in the sandbox can
           // ever change its addresses and routes
};

// A detached mount (open_detached_tree()) and where the view shows it.
struct TreeAt {
  BorrowedFd tree;
  std::string target;     // absolute, without ".", ".." or "//"
  bool optional = false;  // left out where the view has nothing at the target
};

// Descriptors are borrowed until spawn() has returned; the mounts are used up by it.
struct SandboxSpec {
  std::string name;  // of the tenant: the host name in the sandbox, and in errors
  uid_t uid = 0;     // not 0
  gid_t gid = 0;     // not 0
  std::string user;  // login name, for passwd and group
  std::string home;  // absolute
  BorrowedFd home_tree;
  std::vector<TreeAt> binds;
  BorrowedFd cgroup;  // a v2 cgroup's directory; the child starts in it (CLONE_INTO_CGROUP) and it is the
                      // child's cgroup root. Invalid: the caller's
  std::uint64_t tmp_bytes = 256ULL << 20;
  Network network = Network::kHost;
  BorrowedFd network_namespace;  // for Network::kGiven
  std::string resolver;          // the only nameserver of /etc/resolv.conf; empty: those of the base view

  // The descriptors that the child keeps, under the same numbers; all others are closed before entry().
  std::vector<int> keep_fds;
  // The child's 0, 1 and 2; invalid: /dev/null.
  std::array<BorrowedFd, 3> stdio;

  // The caller's parent becomes the child's (CLONE_PARENT): it outlives the caller, who cannot reap it.
  bool parent_of_caller = false;
  // PR_SET_DUMPABLE: false hides the child's memory from the tenant's other processes.
  bool dumpable = false;
  // How many user namespaces may be nested in the sandbox (/proc/sys/user/max_user_namespaces of its own).
  std::uint32_t max_user_namespaces = 0;
  // A seccomp filter (seccomp(2), SECCOMP_SET_MODE_FILTER), loaded as the last step; null: none. Must allow
  // write and close, and all that entry() does.
  const sock_fprog *seccomp = nullptr;
};

// What spawn() cloned.
struct Spawned {
  Child child;
  // Why the sandbox could not be built ("bind /srv/x: …"): the child has ended or is about to, entry() was
  // not called. The child is to be reaped by its parent all the same.
  std::optional<Error> failure;
  std::chrono::microseconds took{0};  // from before the clone until the sandbox stood
};

class PreparedSandbox {
 public:
  // Runs in the sandbox as pid 1; what it returns is the exit status.
  using Entry = int (*)(void *argument);

  // Errors: a spec that cannot work (uid 0, relative paths, a target that hides a part of the view).
  [[nodiscard]] static Result<PreparedSandbox> prepare(const BaseView &view, const SandboxSpec &spec);

  // Clones the child and waits, about a millisecond and at most kPatience, until it stands or has failed. An
  // Error means that nothing was cloned. The caller must be root in BaseView and have one thread. The child's
  // memory is a copy of the caller's (no CLONE_VM); handlers of signals are reset, no signal is blocked. Once
  // only.
  [[nodiscard]] Result<Spawned> spawn(Entry entry, void *argument);
  static constexpr std::chrono::seconds kPatience{10};

  PreparedSandbox(PreparedSandbox &&) noexcept;
  PreparedSandbox &operator=(PreparedSandbox &&) noexcept;
  ~PreparedSandbox();

 private:
  struct Plan;
  explicit PreparedSandbox(std::unique_ptr<Plan> plan);
  std::unique_ptr<Plan> plan_;
};

}  // namespace paddock::sandbox
