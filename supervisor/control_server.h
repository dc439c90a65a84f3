// The control socket: lines of JSON in, lines of JSON out (protocols/control). Who may what is decided by the
// peer's credentials, as the kernel gives them.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace paddock::supervisor {

// Of the process that called connect(2): SO_PEERCRED and SO_PEERGROUPS (unix(7), socket(7)).
struct Peer {
  uid_t uid = 0;
  std::vector<gid_t> groups;  // the primary one included
};

// What a request gets: a line (without its newline) now, one later, or one now and others later.
struct Answer {
  struct Next {
    std::string line;   // empty: there is nothing to say now
    bool last = false;  // the connection ends after it
  };

  std::string line;  // empty: the first that more() gives is the answer
  // Asked each `period`, and not before the client's socket has taken the line before. Where there was a line
  // before, it goes on until the client hangs up or says anything more.
  std::function<Next()> more;
  std::chrono::milliseconds period{0};
};

class ControlServer {
 public:
  // Answers one line (without its newline).
  using Handler = std::function<Answer(const Peer &peer, const std::string &line)>;

  // A connection that has not sent a whole line for that long, or has not taken one, is closed.
  static constexpr auto kPatience = std::chrono::seconds(30);
  static constexpr std::size_t kLineLimit = 64 * 1024;
  // At most so many at once, per uid fewer, and some are kept for root, so that no tenant keeps the admin
  // out. One too many is closed.
  static constexpr std::size_t kConnections = 64;
  static constexpr std::size_t kConnectionsPerUid = 8;

  // Listens at path, mode 0666: every user may ask, and is told what is theirs to know.
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> start(boost::asio::io_context &io,
                                                                    std::string path, Handler handler);
  ~ControlServer();
  ControlServer(const ControlServer &) = delete;
  ControlServer &operator=(const ControlServer &) = delete;

  // Closes the socket and all connections, and removes the path.
  void stop();

 private:
  class Connection;

  ControlServer(boost::asio::io_context &io, std::string path, Handler handler);
  void accept();
  [[nodiscard]] std::size_t connections_of(uid_t uid) const;

  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  std::string path_;
  Handler handler_;
  std::set<std::shared_ptr<Connection>> connections_;
};

}  // namespace paddock::supervisor
