// For tests of commands: a control socket that answers from a list, and a session that knows where it is.
#pragma once

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "cli/session.h"

namespace paddock::cli {

struct Directory {
  std::string path = "/tmp/paddock-cli-XXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
};

// Answers one connection with one line, or several in one text, and keeps what it was asked.
class Supervisor {
 public:
  Supervisor(const std::string &path, std::string answer) : answer_(std::move(answer)) {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~Supervisor() { join(); }
  Supervisor(const Supervisor &) = delete;
  Supervisor &operator=(const Supervisor &) = delete;
  // Call after the command under test, which has connected.
  std::string asked() {
    join();
    return asked_;
  }

 private:
  void join() {
    // Wakes an accept() that nobody has connected to.
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  void serve() {
    const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer.valid()) return;
    std::array<char, 4096> buffer;
    while (asked_.find('\n') == std::string::npos) {
      const ssize_t got = ::read(peer.get(), buffer.data(), buffer.size());
      if (got <= 0) return;
      asked_.append(buffer.data(), static_cast<std::size_t>(got));
    }
    const std::string line = answer_ + "\n";
    if (::send(peer.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) asked_.clear();
  }

  std::string answer_;
  UniqueFd listener_;
  std::string asked_;
  std::thread thread_;
};

struct Run {
  Directory directory;
  std::ostringstream out;
  std::ostringstream err;
  Session session{.out = out, .err = err};

  Run() {
    session.config = directory.path + "/paddock.toml";
    session.config_given = true;
    write("");
  }
  void write(const std::string &tenants) const {
    // An account that every Debian has and that is neither root nor the web server's.
    std::ofstream(session.config) << "[runtime]\nrun_dir = \"" << directory.path << "/run\"\nstate_dir = \""
                                  << directory.path << "/state\"\nlog_dir = \"" << directory.path
                                  << "/log\"\ngateway_user = \"nobody\"\n"
                                  << tenants;
    std::filesystem::create_directories(directory.path + "/run");
    std::filesystem::create_directories(directory.path + "/state");
  }
  [[nodiscard]] std::string socket() const { return directory.path + "/run/control.sock"; }
};

}  // namespace paddock::cli
