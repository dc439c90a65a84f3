// A connection that waits for a worker, with what was received of its request.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "fcgi_gateway/ledger.h"
#include "protocols/fastcgi/request_assembler.h"

namespace paddock::fcgi_gateway {

// Counts bytes in files as a tenant's for as long as it lives.
class SpoolShare {
 public:
  SpoolShare() = default;
  explicit SpoolShare(std::shared_ptr<std::uint64_t> total) : total_(std::move(total)) {}
  SpoolShare(SpoolShare &&other) noexcept
      : total_(std::move(other.total_)), bytes_(std::exchange(other.bytes_, 0)) {}
  SpoolShare &operator=(SpoolShare &&other) noexcept {
    std::swap(total_, other.total_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~SpoolShare() {
    if (total_) *total_ -= bytes_;
  }
  void add(std::uint64_t bytes) {
    *total_ += bytes;
    bytes_ += bytes;
  }

 private:
  std::shared_ptr<std::uint64_t> total_;
  std::uint64_t bytes_ = 0;
};

struct WaitingRequest {
  UniqueFd connection;
  std::string received;  // not empty, or there are parts: the whole request has been received, this and those
  std::vector<UniqueFd> parts;  // files
  UniqueFd head;                // a file with what `received` holds, for the ledger
  SpoolShare share;
  // What has been understood of it so far, for refusing it. Null: nothing was read.
  std::unique_ptr<fastcgi::RequestAssembler> progress;
  LedgerEntry entry;  // goes before the descriptors do
};

}  // namespace paddock::fcgi_gateway
