#include "sandbox/view_builder.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>

#include "sandbox/call.h"

namespace paddock::sandbox {
namespace {

// Sanitizers keep what they know of a thread, and the frames of its functions, where both processes would
// write.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kBeside = false;
#else
constexpr bool kBeside = kCallsLeaveErrno;
#endif

constexpr Step<view::Build> kBuilding[] = {
    {"mount the view's tmpfs", view::make_tmpfs},
    {"show a part of the host", view::show_base},
    {"show a writable directory", view::show_writable},
    {"mount /proc", view::mount_proc},
    {"limit user namespaces", view::limit_user_namespaces},
    {"hide a part of /proc", view::mask_proc},
    {"bind", view::bind_trees},
};
constexpr Step<view::Build> kEntering[] = {{"enter the view", view::enter}};
static_assert(std::size(kBuilding) + std::size(kEntering) == ViewBuilder::kSteps);

// Where the calling thread may run; none: the kernel knows more CPUs than fit.
cpu_set_t allowed_cpus() {
  cpu_set_t cpus;
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) CPU_ZERO(&cpus);
  return cpus;
}

// Has the process wait for any CPU but the caller's. Left to itself, Linux 6.18 has the builder wait behind
// its parent until that sleeps, with another CPU idle: 1.7 ms later.
void leave_this_cpu(pid_t pid, cpu_set_t cpus) {
  const int here = ::sched_getcpu();
  if (here < 0 || here >= CPU_SETSIZE) return;
  CPU_CLR(static_cast<unsigned>(here), &cpus);
  // One that cannot leave builds here.
  if (CPU_COUNT(&cpus) > 0) [[maybe_unused]]
    const int left = ::sched_setaffinity(pid, sizeof cpus, &cpus);
}

}  // namespace

// The memory of the builder's own. The other process forks meanwhile, and its fork neither copies nor
// write-protects these pages (MADV_DONTFORK): at its first write to one that it does, the builder would wait
// for the end of the fork.
struct ViewBuilder::Site {
  static constexpr std::size_t kSize =
      64 * 1024;  // the stack grows down from its end; view.cc has paths on it

  Site(const view::Plan &plan, int stands_fd) : work{plan}, stands(stands_fd) {}

  view::Build work;
  int stands;
  cpu_set_t cpus = allowed_cpus();
  std::atomic<std::uint32_t> may_enter{kBeside ? 0U : 1U};
  StepReport report;
};

// It shares errno with the other process, which is why it has no system calls but call()'s.
int ViewBuilder::build(void *argument) {
  Site &site = *static_cast<Site *>(argument);
  if (kBeside) call(SYS_sched_setaffinity, 0, sizeof site.cpus, &site.cpus);
  site.report = run_steps(std::span<const Step<view::Build>>(kBuilding), site.work);
  if (site.report.step != StepReport::kAllDone) return 1;
  while (site.may_enter.load(std::memory_order_acquire) == 0)
    call(SYS_futex, &site.may_enter, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  site.report = run_steps(std::span<const Step<view::Build>>(kEntering), site.work);
  if (site.report.step != StepReport::kAllDone) {
    site.report.step += static_cast<std::uint32_t>(std::size(kBuilding));
    return 1;
  }
  call(SYS_write, site.stands, "", 1);
  return 0;  // to glibc's clone(), which makes one more system call
}

int ViewBuilder::start(const view::Plan &plan, int stands) {
  void *const memory =
      ::mmap(nullptr, Site::kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED || ::madvise(memory, Site::kSize, MADV_DONTFORK) != 0) return errno;
  site_ = new (memory) Site(plan, stands);
  pid_ = ::clone(build, static_cast<char *>(memory) + Site::kSize, CLONE_VM | (kBeside ? 0 : CLONE_VFORK),
                 site_);
  if (pid_ < 0) return errno;
  if (kBeside) leave_this_cpu(pid_, site_->cpus);
  ::close(stands);
  return 0;
}

void ViewBuilder::let_enter() {
  site_->may_enter.store(1, std::memory_order_release);
  call(SYS_futex, &site_->may_enter, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

StepReport ViewBuilder::reap() {
  ::waitpid(pid_, nullptr, __WALL);
  const StepReport report = site_->report;
  ::munmap(site_, Site::kSize);
  return report;
}

const char *ViewBuilder::name_of(std::size_t step) {
  if (step < std::size(kBuilding)) return kBuilding[step].name;
  return step == std::size(kBuilding) ? kEntering[0].name : "?";
}

}  // namespace paddock::sandbox
