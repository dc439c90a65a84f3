#include "php_worker/programs/fastcgi_program.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "php_worker/programs/launch.h"
#include "php_worker/sapi.h"

namespace paddock::php_worker::programs {
namespace {

// One request at a time is sent: beside it there is at most one that nobody reads any more.
constexpr int kBacklog = 16;

}  // namespace

Result<FastcgiProgram> FastcgiProgram::create(std::vector<std::string> command, std::string directory) {
  static unsigned made = 0;
  FastcgiProgram program;
  program.command_ = std::move(command);
  program.directory_ = std::move(directory);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/tmp/.paddock-fastcgi-%d-%u", ::getpid(), made++);
  program.listen_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!program.listen_.valid()) return errno_error("make a program's socket");
  ::unlink(address.sun_path);
  if (::bind(program.listen_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
    return errno_error(std::string("bind ") + address.sun_path);
  // connect(2) finds a socket by its inode, and /proc/self/fd leads there without the name: nothing is left
  // to tidy up, and no other process of the tenant's comes upon it.
  program.entry_.reset(::open(address.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  const int failure = errno;
  ::unlink(address.sun_path);
  if (!program.entry_.valid()) return errno_error(std::string("open ") + address.sun_path, failure);
  if (::listen(program.listen_.get(), kBacklog) != 0) return errno_error("listen at a program's socket");
  program.address_.sun_family = AF_UNIX;
  std::snprintf(program.address_.sun_path, sizeof program.address_.sun_path, "/proc/self/fd/%d",
                program.entry_.get());
  return program;
}

FastcgiProgram::~FastcgiProgram() {
  end(kPatience);
}

Result<void> FastcgiProgram::ensure_running() {
  if (child_.valid() && !has_ended()) return {};
  SpawnOptions options;
  options.arguments = command_;
  options.environment = program_environment();
  options.fds = {{listen_, STDIN_FILENO}};
  options.directory = directory_;
  options.own_group = true;
  PADDOCK_TRY(child_, spawn(options));
  return {};
}

bool FastcgiProgram::has_ended() {
  if (!child_.valid()) return true;
  const auto ended = child_.try_reap();
  if (ended && !*ended) return false;
  // Programs that end after so many requests (PHP_FCGI_MAX_REQUESTS) are no news.
  if (!ended || !(*ended)->success())
    log_line("the program ended: " + (ended ? (*ended)->to_string() : ended.error().message()),
             command_.front());
  child_ = Child();
  return true;
}

void FastcgiProgram::end(std::chrono::milliseconds patience) {
  end_program(child_, static_cast<int>(patience.count()));
}

}  // namespace paddock::php_worker::programs
