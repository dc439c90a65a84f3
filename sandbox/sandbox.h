// A sandbox: the namespaces, view and rights in which a tenant's processes run.
//
//     BaseView::enter()  once, in the zygote
//     PreparedSandbox::prepare(view, spec)  all that needs memory
//     prepared.spawn(entry, argument)  clone3(2), and the steps of sandbox.cc in the child
//
// The child has its view built by a process of the same memory, while it loses its own rights and, as asked,
// begins what it is for.
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
#include <signal.h>
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

  // entry() is called while the view is still being built, and gets by ViewGate what it needs it for.
  // Everything else holds from its beginning: ids, rights, filter, descriptors.
  bool entry_comes_early = false;
};

class ViewGate;

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
  using Entry = int (*)(void *argument, ViewGate &gate);

  // Errors: a spec that cannot work (uid 0, relative paths, a target that hides a part of the view).
  [[nodiscard]] static Result<PreparedSandbox> prepare(const BaseView &view, const SandboxSpec &spec);

  // Clones the child and waits, about a millisecond and at most kPatience, until it stands or has failed. An
  // Error means that nothing was cloned. The caller must be root in BaseView and have one thread. The child's
  // memory is a copy of the caller's (no CLONE_VM); handlers of signals are reset, no signal is blocked. Once
  // only.
  [[nodiscard]] Result<Spawned> spawn(Entry entry, void *argument);
  static constexpr std::chrono::seconds kPatience{10};

  // The same for a caller that is there for this sandbox alone: the child gets the caller's memory
  // (CLONE_VM), which saves the copy, and the caller ends with status 0 as soon as cloned() has returned in
  // it. An Error means that nothing was cloned. Only with kCanGiveMemory (give_memory.h).
  struct Giver {
    // In the caller. The child waits for its end, and so must not be waited for.
    void (*cloned)(void *argument, Child child);
    // In the child, in place of entry() or while it waits at its gate: the sandbox could not be built.
    void (*failed)(void *argument, const Error &error);
  };
  [[nodiscard]] Error give(Entry entry, void *argument, const Giver &giver);

  PreparedSandbox(PreparedSandbox &&) noexcept;
  PreparedSandbox &operator=(PreparedSandbox &&) noexcept;
  ~PreparedSandbox();

 private:
  friend class ViewGate;
  struct Plan;
  explicit PreparedSandbox(std::unique_ptr<Plan> plan);
  struct Cloning;
  [[nodiscard]] Result<void> begin(Cloning &cloning);
  static void end_giving(void *cloning, pid_t pid);
  [[noreturn]] void run_child(Entry entry, void *argument);
  std::unique_ptr<Plan> plan_;
};

// For an entry() that comes early. Until the gate is open the paths that it and its children see are those of
// the base view, and nothing of the tenant's may be run: a process with rights over the sandbox is at work.
class ViewGate {
 public:
  // In the process that spawn() cloned, once, when it forks nobody any more: what is being forked while a
  // process enters its view could be left behind. Blocks until the view stands and its builder has ended, and
  // tells spawn(). False: it never will (spawn() tells why), and entry() is to return.
  [[nodiscard]] bool open();
  // In each process that it has forked before: blocks as long. False: the process is to end. Uses fd() up.
  [[nodiscard]] bool await() const;
  // What await() needs open.
  [[nodiscard]] int fd() const;

 private:
  friend class PreparedSandbox;
  explicit ViewGate(PreparedSandbox::Plan &plan) : plan_(&plan) {}
  PreparedSandbox::Plan *plan_;
};

}  // namespace paddock::sandbox
