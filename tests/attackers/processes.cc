// Other processes: seeing, signalling and reading them; more rights; namespaces made inside.
#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <grp.h>

#include "attempt.h"

namespace paddock::attackers {
namespace {

std::string cloned(unsigned long flags) {
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) ::_exit(0);
  return said(pid);
}

std::string cloned3(unsigned long flags) {
  clone_args arguments{};
  arguments.flags = flags;
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) ::_exit(0);
  return said(pid);
}

// Does something to a child that waits.
std::string to_child(const std::function<std::string(pid_t child)> &action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const std::string result = action(child);
  ::kill(child, SIGKILL);
  return result;
}

std::string opened(const std::string &path) {
  return said(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

std::string listed(const std::string &path) {
  return ::opendir(path.c_str()) == nullptr ? said(-1) : "ok";
}

std::string executed(const char *program, const char *first, const char *second, const char *third) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    ::execl(program, program, first, second, third, nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "ok" : "fails";
}

}  // namespace

void add_process_attempts(Attempts &attempts) {
  const auto root = Control::kRoot;
  const auto user = Control::kUser;
  const Attempts own = {
      {"signal-supervisor", "signals paddockd", "ESRCH", root, "ok",
       [] { return said(::kill(number("supervisor"), 0)); }},
      {"signal-zygote", "signals the zygote", "ESRCH", root, "ok",
       [] { return said(::kill(number("zygote"), 0)); }},
      {"signal-gateway", "signals the gateway", "ESRCH", root, "ok",
       [] { return said(::kill(number("gateway"), 0)); }},
      {"signal-neighbour", "signals the neighbour's keeper", "ESRCH", root, "ok",
       [] { return said(::kill(number("neighbour"), 0)); }},
      {"signal-by-pidfd", "gets hold of paddockd by a pidfd", "ESRCH", root, "ok",
       [] { return said(::syscall(SYS_pidfd_open, number("supervisor"), 0)); }},
      {"kill-keeper", "kills its own pid 1, which the kernel ignores from inside", "still there",
       Control::kNone, "",
       [] {
         ::kill(1, SIGKILL);
         return ::kill(1, 0) == 0 ? std::string("still there") : said(-1);
       },
       "pid 1 of the host is not to be killed"},
      {"ptrace", "traces a process", "EPERM", root, "ok",
       [] {
         return to_child([](pid_t child) { return said(::ptrace(PTRACE_ATTACH, child, nullptr, nullptr)); });
       }},
      {"ptrace-keeper", "traces the keeper", "EPERM", Control::kNone, "",
       [] { return said(::ptrace(PTRACE_ATTACH, 1, nullptr, nullptr)); },
       "pid 1 of the host is not to be stopped"},
      {"process-vm-readv", "reads another process's memory", "EPERM", root, "ok",
       [] {
         return to_child([](pid_t child) {
           char byte = 0;
           iovec local{&byte, 1};
           iovec remote{&byte, 1};
           return said(::process_vm_readv(child, &local, 1, &remote, 1, 0));
         });
       }},
      {"process-vm-writev", "writes another process's memory", "EPERM", root, "ok",
       [] {
         return to_child([](pid_t child) {
           char byte = 0;
           iovec local{&byte, 1};
           iovec remote{&byte, 1};
           return said(::process_vm_writev(child, &local, 1, &remote, 1, 0));
         });
       }},
      {"pidfd-getfd", "takes a descriptor out of the keeper", "EPERM", root, "ok",
       [] {
         const long fd = ::syscall(SYS_pidfd_open, std::atoi(keeper().c_str() + 6), 0);
         return fd < 0 ? "pidfd_open: " + said(fd) : said(::syscall(SYS_pidfd_getfd, fd, 0, 0));
       }},
      {"keeper-memory", "opens the keeper's memory", "EACCES", root, "ok",
       [] { return opened(keeper() + "/mem"); }},
      {"keeper-descriptors", "lists the keeper's descriptors: log, link to paddockd, scoreboard", "EACCES",
       root, "ok", [] { return listed(keeper() + "/fd"); }},
      {"keeper-environment", "reads the keeper's environment", "EACCES", root, "ok",
       [] { return opened(keeper() + "/environ"); }},
      {"keeper-maps", "reads the keeper's address layout", "EACCES", root, "ok",
       [] { return opened(keeper() + "/maps"); }},
      {"keeper-namespace", "opens the keeper's mount namespace", "EACCES", root, "ok",
       [] { return opened(keeper() + "/ns/mnt"); }},
      {"leaked-descriptors", "finds descriptors that PHP's children were not meant to have", "none",
       Control::kNone, "",
       [] {
         std::string found;
         for (int fd = 3; fd < 1024; ++fd) {
           char target[512];
           const ssize_t length =
               ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
           if (length <= 0) continue;
           const std::string what(target, static_cast<std::size_t>(length));
           // Its own pipe for the outcome; and PHP opens a script for its children too, which is the tenant's
           // own file.
           if (what.rfind("pipe:", 0) != 0 && what.rfind(fact("home"), 0) != 0)
             found += std::to_string(fd) + "=" + what + " ";
         }
         return found.empty() ? std::string("none") : found;
       },
       "what leaks depends on who starts the program"},
      {"setuid-program", "becomes root by su(1)", "fails", root, "ok",
       [] { return executed("/usr/bin/su", "root", "-c", "true"); }},
      {"setuid-0", "becomes root by setresuid(2)", "EINVAL", root, "ok",
       [] { return said(::setresuid(0, 0, 0)); }},
      {"setgid-0", "joins root's group", "EINVAL", root, "ok", [] { return said(::setresgid(0, 0, 0)); }},
      {"setgroups", "joins the group of the sockets", "EPERM", root, "ok",
       [] {
         const gid_t groups[] = {33};
         return said(::setgroups(1, groups));
       }},
      {"setuid-neighbour", "becomes the neighbour", "EINVAL", root, "ok",
       [] { return said(::setuid(static_cast<uid_t>(number("neighbour_uid")))); }},
      {"capset", "takes capabilities", "EPERM", root, "*",
       [] { return said(::syscall(SYS_capset, -1, -1)); }},
      {"unshare-user", "makes a user namespace, to have capabilities in", "EPERM", root, "ok",
       [] { return said(::unshare(CLONE_NEWUSER)); }},
      {"unshare-mount", "makes a mount namespace", "EPERM", root, "ok",
       [] { return said(::unshare(CLONE_NEWNS)); }},
      {"unshare-network", "makes a network namespace", "EPERM", root, "ok",
       [] { return said(::unshare(CLONE_NEWNET)); }},
      {"clone-user", "the same by clone(2)", "EPERM", root, "ok", [] { return cloned(CLONE_NEWUSER); }},
      {"clone-pid", "a pid namespace by clone(2)", "EPERM", root, "ok", [] { return cloned(CLONE_NEWPID); }},
      {"clone3-user", "the same by clone3(2), whose flags a filter cannot see", "ENOSYS", root, "ok",
       [] { return cloned3(CLONE_NEWUSER); }},
      {"setns", "joins a namespace of the host", "EPERM", root, "ok",
       [] { return said(::setns(::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC), 0)); }},
      {"hostname", "renames the host", "EPERM", root, "ok", [] { return said(::sethostname("owned", 5)); }},
      {"sysv-memory", "attaches the host's System V shared memory", "ENOENT", user, "ok",
       [] { return said(::shmget(number("shm_key"), 0, 0)); }},
      {"posix-memory", "opens the host's POSIX shared memory", "ENOENT", user, "ok",
       [] { return said(::shm_open(fact("shm_name").c_str(), O_RDONLY, 0)); }},
      {"core-limit", "has core dumps written", "EPERM", root, "ok",
       [] {
         const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
         return said(::setrlimit(RLIMIT_CORE, &unlimited));
       }},
      {"priority", "puts itself before others", "EACCES", root, "ok",
       [] { return said(::setpriority(PRIO_PROCESS, 0, -20)); }},
      {"realtime", "runs before everything else on its CPU", "EPERM", root, "ok",
       [] {
         sched_param parameter{};
         parameter.sched_priority = 1;
         return said(::sched_setscheduler(0, SCHED_RR, &parameter));
       }},
      {"io-realtime", "reads the disk before everybody", "EPERM", root, "ok",
       [] { return said(::syscall(SYS_ioprio_set, 1, 0, 1 << 13)); }},
  };
  attempts.insert(attempts.end(), own.begin(), own.end());
}

}  // namespace paddock::attackers
