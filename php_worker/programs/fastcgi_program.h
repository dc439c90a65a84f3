// A child of a worker that speaks FastCGI on a listening socket that it inherits as descriptor 0
// (FCGI_LISTENSOCK_FILENO; FastCGI Specification 1.0, section 2.2). The socket is the worker's, and survives
// the program: a connection that the program has not accepted waits for the next one.
#pragma once

#include <sys/stat.h>
#include <sys/un.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::php_worker::programs {

class FastcgiProgram {
 public:
  // Makes the socket, without a name that others would find, and starts nothing. `directory`: where the
  // program runs.
  [[nodiscard]] static Result<FastcgiProgram> create(std::vector<std::string> command, std::string directory);
  // Ends the program (SIGTERM; SIGKILL after kPatience).
  ~FastcgiProgram();
  FastcgiProgram(FastcgiProgram &&) = default;
  FastcgiProgram &operator=(FastcgiProgram &&) = delete;

  static constexpr std::chrono::milliseconds kPatience{1'000};

  // Starts it where it does not run (any more). Its standard output and error are the caller's; it dies with
  // the caller.
  Result<void> ensure_running();
  // Whether it has ended; says so in the log, once.
  bool has_ended();
  // Where to connect to.
  [[nodiscard]] const sockaddr_un &address() const { return address_; }
  // Readable once the program has ended.
  [[nodiscard]] BorrowedFd pidfd() const { return child_.pidfd(); }
  // SIGTERM, and SIGKILL if it has not ended after so long.
  void end(std::chrono::milliseconds patience);

 private:
  FastcgiProgram() = default;

  std::vector<std::string> command_;
  std::string directory_;
  UniqueFd listen_;
  UniqueFd entry_;  // the socket's inode, by which it is connected to
  sockaddr_un address_{};
  Child child_;
};

}  // namespace paddock::php_worker::programs
