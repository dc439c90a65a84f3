#include "supervisor/helper_program.h"

#include <signal.h>

#include <cerrno>

#include "base/log.h"

namespace paddock::supervisor {

HelperProgram::HelperProgram(boost::asio::io_context &io, std::string name, SpawnOptions options,
                             Callbacks callbacks)
    : io_(io),
      restart_timer_(io),
      name_(std::move(name)),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)) {}

void HelperProgram::start() {
  if (stopping_) return;
  back_off_.started();
  missing_.reset();
  const auto started = try_start();
  if (started) return;
  if (const int code = started.error().code; code == ENOENT || code == EACCES || code == ENOEXEC)
    missing_ = started.error();
  went_down(started.error().message());
}

Result<void> HelperProgram::try_start() {
  PADDOCK_TRY(auto ends, MessageSocket::pair());
  SpawnOptions options = options_;
  options.fds.emplace_back(ends.second.fd(), kLinkFd);
  PADDOCK_TRY(Child child, spawn(options));
  log::info("started " + name_ + ", pid " + std::to_string(child.pid()));
  watch_ = ChildWatch::start(io_, std::move(child), [this](const ExitStatus &status) { ended(status); });
  link_ = Link::start(io_, std::move(ends.first), callbacks_.on_packet, [this](const Error &error) {
    // It may be alive and wrong: without a link it is of no use, so it goes. ended() does the rest.
    if (watch_) {
      log::warning("the link to " + name_ + " broke: " + error.message());
      if (const auto killed = watch_->child().signal(SIGKILL); !killed)
        log::warning(killed.error().message());
    }
  });
  return {};
}

void HelperProgram::ended(const ExitStatus &status) {
  watch_.reset();
  went_down(status.to_string());
}

void HelperProgram::went_down(const std::string &why) {
  if (link_) link_->close();
  link_.reset();
  if (stopping_) {
    if (callbacks_.on_gone) callbacks_.on_gone();
    return;
  }
  const auto delay = back_off_.failed();
  log::error(name_ + " ended: " + why + "; it is started again in " +
             std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(delay).count()) + " ms");
  callbacks_.on_down();
  restart_timer_.expires_after(delay);
  restart_timer_.async_wait([this](const boost::system::error_code &error) {
    if (!error) start();
  });
}

void HelperProgram::kill() {
  stop();
  if (!watch_) return;
  if (const auto killed = watch_->child().signal(SIGKILL); !killed) log::warning(killed.error().message());
}

void HelperProgram::stop() {
  stopping_ = true;
  restart_timer_.cancel();
  if (link_) link_->close();
  link_.reset();
}

}  // namespace paddock::supervisor
