// A request's body, read whole from the client before PHP is asked: a slow upload holds no worker of the
// tenant, and a slow worker no thread of Apache's. Small bodies stay in memory, others go to a file without a
// name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "apache/apache.h"
#include "base/unique_fd.h"
#include "protocols/fastcgi/exchange.h"

namespace paddock::apache {

class Body final : public fastcgi::BodySource {
 public:
  static constexpr std::size_t kInMemory = 64 * 1024;

  // Reads from the client, waiting for it as httpd's Timeout and mod_reqtimeout say. OK, or the status to
  // answer.
  int receive(request_rec *r);

  [[nodiscard]] bool exists() const { return exists_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // The next piece, `limit` bytes at most; empty at the end, and failed() if the file could not be read.
  [[nodiscard]] std::string take(std::size_t limit) override;
  [[nodiscard]] bool at_end() const override { return taken_ == size_; }
  [[nodiscard]] bool failed() const override { return failed_; }

 private:
  bool append(const char *data, std::size_t size);

  bool exists_ = false;
  bool failed_ = false;
  std::uint64_t size_ = 0;
  std::uint64_t taken_ = 0;
  std::string memory_;
  UniqueFd file_;
};

}  // namespace paddock::apache
