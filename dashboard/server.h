// HTTP/1.1 for browsers and Prometheus: bounded in connections, bytes and time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <string>

#include "base/result.h"
#include "dashboard/api.h"

namespace paddock::dashboard {

class Server {
 public:
  static constexpr std::size_t kMaxConnections = 128;
  static constexpr std::uint32_t kMaxHeader = 16 * 1024;
  static constexpr std::uint64_t kMaxBody = 16 * 1024;
  // For a whole request, its first byte included, and for a whole answer.
  static constexpr std::chrono::seconds kReadPatience{10};
  static constexpr std::chrono::seconds kWritePatience{20};
  static constexpr int kRequestsPerConnection = 1000;

  Server(boost::asio::io_context &io, Api &api) : io_(io), acceptor_(io), api_(api) {}

  // "127.0.0.1:9180", "[::1]:9180".
  Result<void> listen(const std::string &address);
  void start();

 private:
  class Connection;

  boost::asio::awaitable<void> accept();
  // Where there are too many: the oldest of nobody who is logged in goes. False: there is none such.
  bool make_room();

  boost::asio::io_context &io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  Api &api_;
  std::list<std::weak_ptr<Connection>> connections_;
};

}  // namespace paddock::dashboard
