#include "supervisor/notifier.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>

#include "base/file.h"
#include "base/log.h"
#include "policies/config.h"

namespace paddock::supervisor {
namespace {

// --disable: no .curlrc. What comes back is not wanted.
std::vector<std::string> curl(const char *protocols, const std::vector<std::string> &arguments) {
  std::vector<std::string> command = {policies::kWebhookProgram,
                                      "--disable",
                                      "--silent",
                                      "--show-error",
                                      "--proto",
                                      protocols,
                                      "--max-time",
                                      "20",
                                      "--output",
                                      "/dev/null"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

Result<UniqueFd> input_of(const std::string &text) {
  UniqueFd fd(::memfd_create("paddock-notice", MFD_CLOEXEC));
  if (!fd.valid()) return errno_error("memfd_create");
  PADDOCK_CHECK(write_all(fd, text));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return errno_error("lseek");
  return fd;
}

}  // namespace

std::vector<std::string> webhook_command(const std::string &url) {
  return curl("=http,https",
              {"--fail", "--header", "Content-Type: application/json", "--data-binary", "@-", "--", url});
}

std::vector<std::string> mail_command(const std::string &server, const std::string &address) {
  // An empty sender: what cannot be delivered is told to nobody (RFC 5321, 4.5.5).
  return curl("=smtp,smtps",
              {"--crlf", "--mail-from", "", "--mail-rcpt", address, "--upload-file", "-", "--", server});
}

struct Notifier::Running {
  explicit Running(boost::asio::io_context &io) : timer(io) {}
  std::shared_ptr<ChildWatch> watch;
  boost::asio::steady_timer timer;
};

void Notifier::send(Notice notice) {
  if (waiting_.size() == kWaiting) {
    log::error(waiting_.front().what +
               ": not told, too many wait for it: " + log::quoted(waiting_.front().command.front()));
    waiting_.pop_front();
  }
  waiting_.push_back(std::move(notice));
  start_waiting();
}

void Notifier::start_waiting() {
  while (!waiting_.empty() && running_.size() < kAtOnce) {
    const Notice notice = std::move(waiting_.front());
    waiting_.pop_front();
    if (const auto started = start(notice); !started)
      log::error(notice.what + ": not told: " + started.error().message());
  }
}

Result<void> Notifier::start(const Notice &notice) {
  if (notice.uid == 0) return Error{"there is no account to run " + notice.command.front() + " as"};
  PADDOCK_TRY(const UniqueFd input, input_of(notice.input));
  SpawnOptions options;
  options.arguments = notice.command;
  options.environment = notice.environment;
  options.environment.emplace_back("PATH=/usr/local/bin:/usr/bin:/bin");
  options.environment.emplace_back("LC_ALL=C.UTF-8");
  options.fds = {{input, 0}};
  options.uid = notice.uid;
  options.gid = notice.gid;
  PADDOCK_TRY(Child child, spawn(options));
  const auto running = running_.insert(running_.end(), std::make_shared<Running>(io_));
  (*running)->watch = ChildWatch::start(
      io_, std::move(child),
      [this, running, what = notice.what, program = notice.command.front()](const ExitStatus &status) {
        if (!status.success()) log::error(what + ": " + log::quoted(program) + ": " + status.to_string());
        (*running)->timer.cancel();
        running_.erase(running);
        start_waiting();
      });
  (*running)->timer.expires_after(kPatience);
  (*running)->timer.async_wait(
      [weak = std::weak_ptr<Running>(*running)](const boost::system::error_code &error) {
        const auto self = weak.lock();
        if (error || !self) return;
        if (const auto killed = self->watch->child().signal(SIGKILL); !killed)
          log::warning(killed.error().message());
      });
  return {};
}

}  // namespace paddock::supervisor
