// UniqueFd owns a file descriptor, BorrowedFd names one that somebody else owns.
// Every descriptor in this program is created close-on-exec; what is to survive an exec is passed on purpose.
#pragma once

#include <unistd.h>

#include <utility>

namespace paddock {

class BorrowedFd {
 public:
  constexpr BorrowedFd() = default;
  constexpr explicit BorrowedFd(int fd) : fd_(fd) {}
  [[nodiscard]] constexpr int get() const { return fd_; }
  [[nodiscard]] constexpr bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd &operator=(UniqueFd &&other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd &) = delete;
  UniqueFd &operator=(const UniqueFd &) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] BorrowedFd borrow() const { return BorrowedFd(fd_); }
  operator BorrowedFd() const { return borrow(); }  // NOLINT(google-explicit-constructor)

  // Gives the descriptor up without closing it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    // close() frees the number even where it reports an error (close(2), "Dealing with error returns").
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace paddock
