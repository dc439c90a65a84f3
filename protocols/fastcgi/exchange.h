// The web server's side of one FastCGI request on a non-blocking Unix socket. It never waits: who calls
// next() learns what to wait for. Everything that comes from the other end is a tenant's and may be anything.
#pragma once

#include <poll.h>
#include <sys/un.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocols/fastcgi/figures.h"
#include "protocols/fastcgi/record.h"

namespace paddock::fastcgi {

// Where the request's body comes from.
class BodySource {
 public:
  // The next piece, `limit` bytes at most. Fewer only at the end.
  [[nodiscard]] virtual std::string take(std::size_t limit) = 0;
  [[nodiscard]] virtual bool at_end() const = 0;
  // It cannot be had whole.
  [[nodiscard]] virtual bool failed() const = 0;

 protected:
  ~BodySource() = default;
};

class Exchange {
 public:
  enum class Event : std::uint8_t {
    kWait,    // nothing to do until poll(2) reports one of wanted() on fd()
    kOutput,  // data() is a piece of the answer
    kError,   // data() is a piece of what went to standard error
    kEnd,     // the answer is complete; application_status() and protocol_status() hold
    kBroken,  // problem() says what the other end did
  };

  // Connects; EAGAIN: the socket's backlog is full.
  [[nodiscard]] Result<void> connect(const sockaddr_un &address);
  // `head` is everything up to and including the empty PARAMS record. `body` must outlive the request.
  void start(std::string head, BodySource &body);
  // Sends and receives what can be without waiting. data() holds until the next call.
  Event next();
  // Tells the other end that nobody wants the answer, as far as that can be sent at once.
  void ask_to_abort();
  // The same, and closes.
  void abort();
  void close() { fd_.reset(); }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] short wanted() const {
    return static_cast<short>(POLLIN | (sent_ < unsent_.size() || !all_queued_ ? POLLOUT : 0));
  }
  [[nodiscard]] std::span<const char> data() const { return data_; }
  // More has been received than next() has given out so far.
  [[nodiscard]] bool has_more() const { return !rest_.empty(); }
  [[nodiscard]] std::string_view problem() const { return problem_; }
  [[nodiscard]] std::uint8_t protocol_status() const { return protocol_status_; }
  // What the request took, if the other end has said so; it may be lying.
  [[nodiscard]] const std::optional<Figures> &figures() const { return figures_; }
  // Bytes of the other end that have come so far.
  [[nodiscard]] std::uint64_t received() const { return received_; }

  static constexpr std::uint16_t kRequestId = 1;

 private:
  bool send();
  Event take(const Fragment &fragment);
  void take_figures(const Fragment &fragment);
  Event broken(std::string_view what);

  UniqueFd fd_;
  BodySource *body_ = nullptr;
  std::string unsent_;
  std::size_t sent_ = 0;     // of unsent_
  bool all_queued_ = false;  // the body's end is in unsent_
  bool asked_ = false;       // the request is on its way, and its answer cannot be here yet
  bool deaf_ = false;        // the other end reads no more; it may still answer
  RecordReader reader_;
  std::span<const std::uint8_t> rest_;
  std::span<const char> data_;
  std::string_view problem_;
  std::string end_;           // END_REQUEST's body
  std::string figures_text_;  // of a figures record that is half there
  std::optional<Figures> figures_;
  unsigned foreign_records_ = 0;
  std::uint8_t protocol_status_ = 0;
  std::uint64_t received_ = 0;
  // Not zeroed: most answers touch only its start.
  std::uint8_t input_[16 * 1024];
};

}  // namespace paddock::fastcgi
