#include "supervisor/link.h"

#include <fcntl.h>

namespace paddock::supervisor {

namespace {
// One peer may not keep the loop from the others: the rest is taken in the next round.
constexpr int kPacketsPerWakeUp = 64;
}  // namespace

std::shared_ptr<Link> Link::start(boost::asio::io_context &io, MessageSocket socket, OnPacket on_packet,
                                  OnClosed on_closed) {
  std::shared_ptr<Link> link(new Link(io, std::move(socket), std::move(on_packet), std::move(on_closed)));
  link->wait_readable();
  return link;
}

Link::Link(boost::asio::io_context &io, MessageSocket socket, OnPacket on_packet, OnClosed on_closed)
    : socket_(std::move(socket)),
      descriptor_(io, socket_.fd().get()),
      on_packet_(std::move(on_packet)),
      on_closed_(std::move(on_closed)) {
  if (const auto set = socket_.set_nonblocking(true); !set) open_ = false;
}

Link::~Link() {
  close();
}

void Link::close() {
  open_ = false;
  if (!socket_.valid()) return;
  boost::system::error_code ignored;
  descriptor_.cancel(ignored);
  [[maybe_unused]] const int fd = descriptor_.release();  // socket_ owns it
  socket_.close();
  queue_.clear();
}

void Link::fail(const Error &error) {
  if (!open_) return;
  close();
  on_closed_(error);
}

void Link::send_bytes(std::vector<std::uint8_t> bytes, std::span<const BorrowedFd> fds) {
  if (!open_) return;
  if (queue_.empty()) {
    const auto sent = socket_.send_bytes(bytes, fds);
    if (sent) return;
    // A peer that has gone is reported by the read side, outside of the caller's stack.
    if (sent.error().code != EAGAIN) return;
  }
  Queued queued{std::move(bytes), {}};
  for (const auto fd : fds) {
    UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return fail(errno_error("duplicate a descriptor for a queued message"));
    queued.fds.push_back(std::move(copy));
  }
  queue_.push_back(std::move(queued));
  if (queue_.size() > kMaxQueued) return fail(errno_error("send message: the peer does not read", ETIMEDOUT));
  if (queue_.size() == 1) wait_writable();
}

void Link::drain_queue() {
  while (open_ && !queue_.empty()) {
    std::vector<BorrowedFd> fds;
    for (const auto &fd : queue_.front().fds) fds.push_back(fd.borrow());
    const auto sent = socket_.send_bytes(queue_.front().bytes, fds);
    if (!sent) {
      if (sent.error().code == EAGAIN) return wait_writable();
      return fail(sent.error());
    }
    queue_.pop_front();
  }
}

void Link::wait_writable() {
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                         [self = shared_from_this()](const boost::system::error_code &error) {
                           if (!error && self->open_) self->drain_queue();
                         });
}

void Link::wait_readable() {
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code &error) {
                           if (error || !self->open_) return;
                           for (int i = 0; i < kPacketsPerWakeUp && self->open_; ++i) {
                             auto packet = self->socket_.receive();
                             if (!packet) {
                               if (packet.error().code == EAGAIN) break;
                               return self->fail(packet.error());
                             }
                             if (!packet->has_value()) return self->fail(Error{"the peer closed the link"});
                             self->on_packet_(**packet);
                           }
                           if (self->open_) self->wait_readable();
                         });
}

}  // namespace paddock::supervisor
