#include "supervisor/control_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <optional>

#include "base/log.h"

namespace paddock::supervisor {

using boost::asio::local::stream_protocol;

namespace {

// Asio makes and accepts sockets without it.
void set_close_on_exec(int fd) {
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

std::optional<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  Peer peer{credentials.uid, {credentials.gid}};
  std::vector<gid_t> groups(256);
  size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
    groups.resize(size / sizeof(gid_t));
    peer.groups.insert(peer.groups.end(), groups.begin(), groups.end());
  }
  return peer;
}

}  // namespace

class ControlServer::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ControlServer &server, stream_protocol::socket socket, Peer peer)
      : server_(server), socket_(std::move(socket)), timer_(socket_.get_executor()), peer_(std::move(peer)) {}

  [[nodiscard]] uid_t uid() const { return peer_.uid; }

  void read() {
    expect_progress();
    boost::asio::async_read_until(
        socket_, boost::asio::dynamic_buffer(input_, kLineLimit), '\n',
        [self = shared_from_this()](const boost::system::error_code &error, std::size_t length) {
          self->got(error, length);
        });
  }

  void close() {
    more_ = nullptr;
    timer_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    server_.connections_.erase(shared_from_this());
  }

 private:
  void got(const boost::system::error_code &error, std::size_t length) {
    if (!socket_.is_open()) return;
    if (error) return close();
    const std::string line = input_.substr(0, length - 1);
    input_.erase(0, length);
    Answer answer = server_.handler_(peer_, line);
    if (!answer.more) return write(answer.line, [this] { read(); });
    more_ = std::move(answer.more);
    period_ = answer.period;
    due_ = std::chrono::steady_clock::now();
    streams_ = !answer.line.empty();
    if (!streams_) return await_next();
    // It has no more to say: what it has sent, or sends, ends the stream, as its hanging up does.
    if (!input_.empty()) return close();
    socket_.async_wait(stream_protocol::socket::wait_read,
                       [weak = weak_from_this()](const boost::system::error_code &) {
                         const auto self = weak.lock();
                         if (self && self->socket_.is_open()) self->close();
                       });
    write(answer.line, [this] { await_next(); });
  }

  void expect_progress() {
    timer_.expires_after(kPatience);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code &error) {
      const auto self = weak.lock();
      if (!error && self) self->close();
    });
  }

  void write(const std::string &line, std::function<void()> then) {
    output_ = line + "\n";
    expect_progress();
    boost::asio::async_write(socket_, boost::asio::buffer(output_),
                             [self = shared_from_this(), then = std::move(then)](
                                 const boost::system::error_code &error, std::size_t) {
                               if (!self->socket_.is_open()) return;
                               if (error) return self->close();
                               then();
                             });
  }

  void await_next() {
    due_ = std::max(due_ + period_, std::chrono::steady_clock::now());
    timer_.expires_at(due_);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code &error) {
      const auto self = weak.lock();
      if (error || !self || !self->more_) return;
      const Answer::Next next = self->more_();
      if (next.line.empty()) return self->await_next();
      self->write(next.line, [raw = self.get(), last = next.last] {
        if (last) return raw->close();
        if (raw->streams_) return raw->await_next();
        raw->more_ = nullptr;
        raw->read();
      });
    });
  }

  ControlServer &server_;
  stream_protocol::socket socket_;
  boost::asio::steady_timer timer_;
  Peer peer_;
  std::string input_;
  std::string output_;
  std::function<Answer::Next()> more_;
  std::chrono::milliseconds period_{0};
  std::chrono::steady_clock::time_point due_;
  bool streams_ = false;
};

ControlServer::ControlServer(boost::asio::io_context &io, std::string path, Handler handler)
    : acceptor_(io), pause_(io), path_(std::move(path)), handler_(std::move(handler)) {}

ControlServer::~ControlServer() {
  stop();
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(boost::asio::io_context &io, std::string path,
                                                            Handler handler) {
  std::unique_ptr<ControlServer> server(new ControlServer(io, std::move(path), std::move(handler)));
  ::unlink(server->path_.c_str());
  boost::system::error_code error;
  server->acceptor_.open(stream_protocol(), error);
  if (!error) set_close_on_exec(server->acceptor_.native_handle());
  if (!error) server->acceptor_.bind(stream_protocol::endpoint(server->path_), error);
  if (!error) server->acceptor_.listen(static_cast<int>(kConnections), error);
  if (error) return errno_error("listen at " + server->path_, error.value());
  if (::chmod(server->path_.c_str(), 0666) != 0) return errno_error("chmod " + server->path_);
  server->accept();
  return server;
}

std::size_t ControlServer::connections_of(uid_t uid) const {
  return static_cast<std::size_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [uid](const auto &connection) { return connection->uid() == uid; }));
}

void ControlServer::accept() {
  acceptor_.async_accept([this](const boost::system::error_code &error, stream_protocol::socket socket) {
    if (error == boost::asio::error::operation_aborted) return;
    if (!error) {
      set_close_on_exec(socket.native_handle());
      auto peer = peer_of(socket.native_handle());
      if (peer && connections_.size() < (peer->uid == 0 ? kConnections : kConnections - kConnectionsPerUid) &&
          (peer->uid == 0 || connections_of(peer->uid) < kConnectionsPerUid)) {
        const auto connection = std::make_shared<Connection>(*this, std::move(socket), std::move(*peer));
        connections_.insert(connection);
        connection->read();
      }
      return accept();
    }
    // Out of descriptors: accepting at once again would spin on the connection that still waits.
    pause_.expires_after(std::chrono::milliseconds(100));
    pause_.async_wait([this](const boost::system::error_code &cancelled) {
      if (!cancelled) accept();
    });
  });
}

void ControlServer::stop() {
  if (!acceptor_.is_open()) return;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  ::unlink(path_.c_str());
  const auto connections = connections_;
  for (const auto &connection : connections) connection->close();
}

}  // namespace paddock::supervisor
