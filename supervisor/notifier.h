// Tells the admin what a rule has done: by a command or a webhook, each a child program that has no rights
// and little time. The supervisor itself speaks to nobody.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/process.h"
#include "supervisor/child_watch.h"

namespace paddock::supervisor {

struct Notice {
  std::vector<std::string> command;  // a program and its arguments
  std::vector<std::string> environment;
  std::string input;  // for its standard input
  uid_t uid = 0;      // it runs as; not 0
  gid_t gid = 0;
  std::string what;  // for the log: "rule hog"
};

// A program that posts its standard input, JSON, to the URL.
[[nodiscard]] std::vector<std::string> webhook_command(const std::string &url);
// One that sends its standard input, a mail, to the address by that server ("smtp://127.0.0.1"). Not
// sendmail(1): it has to become somebody else, which nothing below paddockd may.
[[nodiscard]] std::vector<std::string> mail_command(const std::string &server, const std::string &address);

class Notifier {
 public:
  static constexpr std::size_t kAtOnce = 8;
  static constexpr std::size_t kWaiting = 256;  // beyond, the oldest is given up
  static constexpr auto kPatience = std::chrono::seconds(30);

  explicit Notifier(boost::asio::io_context &io) : io_(io) {}

  // Starts the program, or keeps it until one of those that run has ended. What fails is logged.
  void send(Notice notice);

 private:
  struct Running;

  void start_waiting();
  Result<void> start(const Notice &notice);

  boost::asio::io_context &io_;
  std::deque<Notice> waiting_;
  std::list<std::shared_ptr<Running>> running_;
};

}  // namespace paddock::supervisor
