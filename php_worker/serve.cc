#include "php_worker/serve.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"
#include "php_worker/keeper.h"
#include "php_worker/php_fds.h"
#include "php_worker/sapi.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::php_worker {
namespace {

constexpr int kBacklog = 4096;

Result<UniqueFd> listen_at(const std::string &path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return errno_error("listen at " + path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const auto *generic = reinterpret_cast<const sockaddr *>(&address);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error("socket");
  if (::connect(fd.get(), generic, sizeof address) == 0) return errno_error("listen at " + path, EADDRINUSE);
  if (errno == ECONNREFUSED) ::unlink(path.c_str());
  if (::bind(fd.get(), generic, sizeof address) != 0) return errno_error("bind " + path);
  if (::listen(fd.get(), kBacklog) != 0) return errno_error("listen at " + path);
  return fd;
}

zygote_link::IniFromWeb from_web(const std::string &text) {
  if (text == "none") return zygote_link::IniFromWeb::kNone;
  return text == "admin" ? zygote_link::IniFromWeb::kAdmin : zygote_link::IniFromWeb::kValue;
}

}  // namespace

Result<int> run_serve(const ServeOptions &options) {
  const std::vector<int> before = open_fds();
  PADDOCK_CHECK(start_php({options.ini_dir, options.ini}));
  KeeperOptions keeper;
  keeper.php_fds = opened_since(before);
  keeper.name = options.name;
  keeper.workers_max = options.workers_max;
  keeper.workers_start = options.workers_start == 0 ? options.workers_max : options.workers_start;
  keeper.requests_per_worker = options.requests_per_worker;
  keeper.deadline_ms = options.serving.deadline_ms;
  keeper.slow_ms = options.serving.slow_ms;
  keeper.take_signals = true;
  if (keeper.workers_start > keeper.workers_max) return Error{"--workers-start is more than --workers"};
  set_serving(options.serving);
  keeper.settle = [&options] { return apply_plan(options.plan_ini, from_web(options.ini_from_web)); };
  PADDOCK_TRY(keeper.board, scoreboard::create_board(options.name));
  if (options.log.empty()) {
    keeper.log = UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!keeper.log.valid()) return errno_error("duplicate standard error");
  } else {
    PADDOCK_TRY(keeper.log, open_file(options.log, O_WRONLY | O_APPEND | O_CREAT, 0640));
  }
  PADDOCK_TRY(keeper.listen, listen_at(options.listen));
  // Children of scripts whose worker has gone come to us, as they would to a sandbox's pid 1.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const int status = run_keeper(std::move(keeper));
  ::unlink(options.listen.c_str());
  return status;
}

}  // namespace paddock::php_worker
