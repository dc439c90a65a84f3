// One accepted FastCGI connection and the one request that it carries.
//
// Written for few system calls: a request that comes in one piece and an answer below kOutputSize cost one
// recv(2) and one send(2). The buffers live as long as the object, which serves one connection after the
// other. A connection that the web server asked to keep (FastCGI 1.0, 3.5) may serve another request where
// its worker has leave to wait for one; else it is closed, since a kept and idle one would pin the worker.
//
// With a Relief, no peer makes a worker wait for longer than a moment: a request is collected before PHP
// runs, and a connection that falls silent meanwhile is given away; an answer that is not taken is put by
// while PHP goes on, and what is left of it in the end is given away. Without one it waits as patience.h has
// it.
//
// No destructor needs to run while a request is served: PHP may longjmp(3) over callers of everything here.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "php_worker/collected_body.h"
#include "php_worker/inbox.h"
#include "php_worker/outbox.h"
#include "php_worker/relief.h"
#include "protocols/fastcgi/figures.h"
#include "protocols/fastcgi/request_assembler.h"

namespace paddock::php_worker {

class Connection {
 public:
  static constexpr std::size_t kOutputSize = 32 * 1024;

  enum class Arrival : std::uint8_t {
    kRequest,   // params() hold
    kNothing,   // the peer went without a request, or had only questions, which were answered
    kBroken,    // problem() says what the peer did
    kTooLong,   // params() hold; they are longer than the limit
    kTooLarge,  // params() hold; the body is longer than the limit
    kLeft,      // it was slow, and is the relief's now
  };

  // relief: null for none; outlives this.
  explicit Connection(Relief *relief = nullptr);

  // Takes over an accepted socket (blocking or not).
  void adopt(int fd);
  // The same, of which somebody has received a whole request already: `received`, then the files.
  void adopt(int fd, std::string_view received, std::vector<UniqueFd> files);
  // Until the params are complete and, with a relief, the body too.
  Arrival read_request();
  [[nodiscard]] std::span<const std::uint8_t> params() const { return assembler_.params(); }
  // What the web server's module has read for this request (protocols/fastcgi/settings.h), if there is one.
  [[nodiscard]] bool has_settings() const { return assembler_.has_settings(); }
  [[nodiscard]] std::span<const std::uint8_t> settings() const { return assembler_.settings(); }

  // Fills `to` with the body's next bytes; fewer than asked only at its end, whatever the reason (problem()).
  std::size_t read_body(char *to, std::size_t size);
  [[nodiscard]] bool body_complete() const { return assembler_.stdin_ended() && body_.empty(); }

  // The whole body, of that length, where it has been collected in more memory than a buffer and nobody has
  // read any of it; null: it has to be read.
  [[nodiscard]] std::unique_ptr<CollectedBody> take_body(std::uint64_t length);

  // Part of the answer, headers included: buffered, or sent together with what is buffered. False: the peer
  // is gone.
  bool write(const char *data, std::size_t size);
  // The headers are written but for their empty line, and may tell the body's length. Where all of the answer
  // goes out by finish(), it is told: a web server that does not know it needs chunks, and writes a last one
  // when the request has ended.
  void tell_length_here();
  // Sends what is buffered and looks whether the web server has aborted the request.
  bool flush();
  // Ends the answer: END_REQUEST, in the same send as what was still buffered. More writes are ignored.
  // A web server that has sent settings is told the figures, if there are some.
  void finish(const fastcgi::Figures *figures = nullptr);
  // The answer is ended, nothing of the request is left, and the web server wants the connection kept: then
  // either await_next() or close() follows.
  [[nodiscard]] bool is_kept();
  // Waits for the next request, at most for `time` and not while `others` is readable. True: it has begun to
  // come, and read_request() reads it. False: the connection is closed. No request that has come is lost.
  bool await_next(std::chrono::milliseconds time, BorrowedFd others);
  // The answer is another process's: nothing that is written from here on, or is buffered, is sent.
  void leave_answer();
  // Reads what the peer still sends, and closes. Who closes with the peer's empty STDIN record unread makes
  // its write fail with EPIPE, and mod_proxy_fcgi then throws a complete answer away.
  void close();

  // Of this connection: the body's bytes that came, and the answer's, headers included, that PHP has written.
  // Whole after close().
  [[nodiscard]] std::uint64_t bytes_in() const { return assembler_.stdin_bytes(); }
  [[nodiscard]] std::uint64_t bytes_out() const { return bytes_out_; }

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  [[nodiscard]] bool finished() const { return finished_; }
  // The peer cannot or will not take the answer: it closed, aborted, or did not read for kWritePatience.
  [[nodiscard]] bool peer_gone() const { return gone_ || aborted_; }
  // What the peer did wrong, empty if nothing.
  [[nodiscard]] std::string_view problem() const { return problem_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Received : std::uint8_t { kBytes, kEnd, kTimeout, kFailed };
  using Kept = Inbox::Received;

  Arrival read_patiently();
  Arrival collect_body(std::int64_t length);
  // nullopt: the connection stays.
  std::optional<Arrival> leave();
  Arrival broken(std::string_view what);
  bool answer_assembler();
  bool wait_a_moment(short events, std::chrono::microseconds &left);
  Received try_receive();
  Received receive(Clock::time_point deadline);
  void open_record();
  void close_record(std::size_t outside = 0);
  std::string_view length_line(std::span<char> to) const;
  bool send_pieces(iovec *pieces, std::size_t count);
  bool put_by(const iovec *pieces, std::size_t count);
  bool make_room();
  void give_rest_away();
  bool request_over();
  bool send_buffered();
  void look_for_abort();
  void settle();
  void linger();

  Relief *relief_;
  int fd_ = -1;
  Inbox inbox_;
  std::span<const std::uint8_t> rest_;  // received, not yet taken apart
  std::span<const std::uint8_t> body_;  // a piece of the body that PHP has not read, inside the inbox
  fastcgi::RequestAssembler assembler_;
  fastcgi::RequestAssembler scout_;  // runs ahead of assembler_ while a body is collected
  bool whole_ = false;               // somebody else has collected the request
  std::chrono::microseconds moment_left_{};
  Clock::time_point left_at_{};  // when the last one was given away

  std::uint64_t bytes_out_ = 0;
  std::unique_ptr<char[]> output_;
  std::size_t output_size_ = 0;
  std::size_t record_at_ = 0;  // where the open STDOUT record's header is, while record_open_
  bool record_open_ = false;
  std::size_t length_at_ = 0;  // where in the output a Content-Length may go; 0: nowhere
  Outbox outbox_;              // not empty: what is sent goes behind
  std::chrono::microseconds write_left_{};

  bool finished_ = false;
  bool settled_ = false;
  bool gone_ = false;
  bool aborted_ = false;   // by FCGI_ABORT_REQUEST: nothing but END_REQUEST is wanted
  bool end_seen_ = false;  // recv returned 0
  bool sent_ = false;      // a part of the answer is on its way
  std::string_view problem_;
};

}  // namespace paddock::php_worker
