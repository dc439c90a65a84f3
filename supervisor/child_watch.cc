#include "supervisor/child_watch.h"

#include "base/log.h"

namespace paddock::supervisor {

std::shared_ptr<ChildWatch> ChildWatch::start(boost::asio::io_context &io, Child child, OnExit on_exit) {
  std::shared_ptr<ChildWatch> watch(new ChildWatch(io, std::move(child), std::move(on_exit)));
  watch->wait();
  return watch;
}

ChildWatch::ChildWatch(boost::asio::io_context &io, Child child, OnExit on_exit)
    : child_(std::move(child)), descriptor_(io, child_.pidfd().get()), on_exit_(std::move(on_exit)) {}

ChildWatch::~ChildWatch() {
  [[maybe_unused]] const int fd = descriptor_.release();  // child_ owns it
}

void ChildWatch::wait() {
  // Held weakly: whoever drops the watch does not want to be called any more.
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [weak = weak_from_this()](const boost::system::error_code &error) {
                           const auto self = weak.lock();
                           if (error || !self) return;
                           const auto status = self->child_.try_reap();
                           if (!status) {
                             log::debug(status.error().message());
                             return self->on_exit_(ExitStatus{});
                           }
                           if (!status->has_value()) return self->wait();
                           self->on_exit_(**status);
                         });
}

}  // namespace paddock::supervisor
