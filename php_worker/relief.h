// Who takes over a connection that would make a worker wait: the gateway, in a sandbox.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/unique_fd.h"

namespace paddock::php_worker {

class Relief {
 public:
  // A request that has not come wholly: `received` of it, then the file (sealed; invalid: none). False: the
  // connection stays with the worker. True: the caller closes its descriptor, another is on its way.
  virtual bool take_slow(BorrowedFd connection, std::string_view received, BorrowedFd file) = 0;
  // An answer that the peer does not take: the file's bytes from `offset` on are still to be sent (sealed;
  // invalid: all was sent, but the peer has not ended its request). request_over: it has.
  virtual bool take_unread(BorrowedFd connection, BorrowedFd file, std::uint64_t offset,
                           bool request_over) = 0;
  // An answer was cut off, since its peer did not take it.
  virtual void count_cut() = 0;
  // Bytes of an answer that may wait for the peer in this process, and how long a peer has to take some.
  [[nodiscard]] virtual std::uint64_t answer_limit() const = 0;
  [[nodiscard]] virtual std::chrono::milliseconds send_time() const = 0;
  // Somebody waits for a worker.
  [[nodiscard]] virtual bool crowded() const = 0;
  // Readable when somebody else waits for a worker; waiting for a slow one costs nothing until then.
  [[nodiscard]] virtual BorrowedFd others() const = 0;
  // Bytes of a request's params, at most; 0: any number.
  [[nodiscard]] virtual std::uint64_t header_limit() const = 0;
  // Bytes of a request's body, at most; 0: any number.
  [[nodiscard]] virtual std::uint64_t body_limit() const = 0;

 protected:
  ~Relief() = default;
};

}  // namespace paddock::php_worker
