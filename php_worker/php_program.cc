#include "php_worker/php_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/file.h"
#include "base/process.h"
#include "php_worker/title.h"

namespace paddock::php_worker {
namespace {

constexpr char kSelf[] = "/proc/self/exe";
constexpr int kPatienceMs = 10'000;

std::string object_beside_program() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink(kSelf, path, sizeof path);
  if (length <= 0 || length == sizeof path) return {};
  std::string object(path, static_cast<std::size_t>(length));
  object += ".so";
  // ld.so takes these for separators.
  if (object.find_first_of(": ") != std::string::npos || ::access(object.c_str(), R_OK) != 0) return {};
  return object;
}

// All that is to be resolved is resolved when it starts (-z now): one that can say its version can do the
// rest.
bool starts_with(const std::string &object) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const auto null = open_file("/dev/null", O_RDWR);
  if (!null) return false;
  SpawnOptions options;
  options.arguments = {PADDOCK_PHP_COMMAND, "--version", std::string(kTitleSpace) + "-"};
  options.environment = {"LD_PRELOAD=" + object};
  options.fds = {{*null, STDIN_FILENO}, {write_end, STDOUT_FILENO}, {*null, STDERR_FILENO}};
  const auto child = spawn(options);
  if (!child) return false;
  write_end.reset();
  pollfd ended{child->pidfd().get(), POLLIN, 0};
  if (::poll(&ended, 1, kPatienceMs) != 1 && !child->signal(SIGKILL)) return false;
  const auto status = child->wait();
  const auto told = read_all(read_end);  // one line, which the pipe holds
  return told && told->starts_with("paddock-php ") && status && status->success();
}

}  // namespace

std::string php_program() {
  const std::string object = object_beside_program();
  if (object.empty() || !starts_with(object)) return kSelf;
  ::setenv("LD_PRELOAD", object.c_str(), 1);
  return PADDOCK_PHP_COMMAND;
}

}  // namespace paddock::php_worker
