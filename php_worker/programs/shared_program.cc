#include "php_worker/programs/shared_program.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "php_worker/programs/launch.h"

namespace paddock::php_worker::programs {
namespace {

using namespace std::chrono_literals;

// One that ends at once is started again ever later.
constexpr auto kYoung = 10s;
constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 10s;

}  // namespace

void SharedProgram::start() {
  if (command_.empty() || ending_ || running()) return;
  started_ = EventLoop::Clock::now();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return relay_.note(errno_error("make the program's pipe").message());
  UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  SpawnOptions options;
  options.arguments = command_;
  options.environment = program_environment();
  options.fds = {{null, STDIN_FILENO}, {writing, STDOUT_FILENO}, {writing, STDERR_FILENO}};
  options.own_group = true;
  const auto child = spawn(options);
  if (!child) {
    relay_.note(child.error().message());
    pause_ = kLongestPause;
    loop_.after(pause_, [this] { start(); });
    return;
  }
  pid_ = child->pid();
  if (const auto added = relay_.add(std::move(reading), pid_); !added) relay_.note(added.error().message());
}

void SharedProgram::end() {
  ending_ = true;
  if (running()) ::kill(pid_, SIGTERM);
}

void SharedProgram::kill() {
  ending_ = true;
  if (running()) ::kill(-pid_, SIGKILL);
}

bool SharedProgram::ended(pid_t pid, const ExitStatus &status) {
  if (pid != pid_) return false;
  pid_ = 0;
  relay_.worker_ended(pid);
  if (ending_) return true;
  relay_.note("the program " + command_.front() + " ended: " + status.to_string());
  const bool young = EventLoop::Clock::now() - started_ < kYoung;
  pause_ = young ? std::clamp<EventLoop::Clock::duration>(pause_ * 2, kFirstPause, kLongestPause)
                 : EventLoop::Clock::duration(kFirstPause);
  loop_.after(pause_, [this] { start(); });
  return true;
}

}  // namespace paddock::php_worker::programs
