// What paddockd and the service manager that started it say to each other: sd_notify(3), the watchdog, and
// the file descriptor store, in which the listening sockets outlive us. Protocol: systemd.service(5),
// sd_listen_fds(3), sd_pid_notify_with_fds(3); spoken here rather than by libsystemd, which would bring its
// dependencies into a program of root's for four datagrams.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::supervisor {

class ServiceManager {
 public:
  // Nobody started us: every call does nothing.
  ServiceManager() = default;
  // From NOTIFY_SOCKET, WATCHDOG_USEC and LISTEN_FDS, which are taken out of the environment. What was in the
  // store becomes close-on-exec. Call once, before anything else opens descriptors.
  [[nodiscard]] static ServiceManager from_environment();

  [[nodiscard]] bool present() const { return socket_.valid(); }
  // How often alive() has to be called, at the latest; nullopt: never.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

  void ready();
  void reloading();  // ready() ends it
  void stopping();
  void alive();

  // Keeps a duplicate of a socket under `name`, for our successor. One descriptor a name.
  void store(const std::string &name, BorrowedFd fd);
  void forget(const std::string &name);
  // What a predecessor stored: taken out of what stored() holds.
  [[nodiscard]] std::optional<UniqueFd> take(const std::string &name);
  // A socket that a predecessor stored, if it still listens: taken out of what stored() holds.
  [[nodiscard]] std::optional<UniqueFd> take_listener(const std::string &name);
  [[nodiscard]] const std::map<std::string, UniqueFd> &stored() const { return stored_; }
  // What nobody can take is of no use: closed, here and in the store. One, or all that are left.
  void drop(const std::string &name);
  void drop_stored();

 private:
  void send(const std::string &text, BorrowedFd fd = {});

  std::string address_;
  UniqueFd socket_;
  std::optional<std::chrono::microseconds> watchdog_;
  std::map<std::string, UniqueFd> stored_;
};

}  // namespace paddock::supervisor
