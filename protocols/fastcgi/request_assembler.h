// The application's side of a FastCGI connection as a state machine: bytes in, "what happened" out.
//
// One request at a time, role Responder only; what the specification wants answered on the way (GET_VALUES,
// unknown types, other roles, a second request in between) comes out as ready-made reply bytes. It reads no
// socket and knows no clock: worker and gateway share it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocols/fastcgi/record.h"

namespace paddock::fastcgi {

struct Limits {
  std::size_t params_bytes = 1 << 20;    // encoded params of one request
  std::size_t params_count = 4096;       // pairs of one request
  std::size_t settings_bytes = 1 << 20;  // of the records kSettings of one request
  // Records that are no part of the request (management, unknown types, other ids): a peer that sends more on
  // one connection wants to keep us busy.
  std::size_t foreign_records = 64;
};

// What GET_VALUES is answered with; 0: not told.
struct Capabilities {
  std::uint32_t max_connections = 0;
  std::uint32_t max_requests = 0;
};

class RequestAssembler {
 public:
  enum class Event : std::uint8_t {
    kNeedMore,        // the input is used up
    kParamsComplete,  // params() and keep_connection() hold; they decode without an error
    kStdin,           // data() is a piece of the body, inside the caller's input
    kStdinEnd,        // the body is complete. Nothing of this request is left on the wire
    kAbort,           // the web server gives up on the request; STDIN may or may not have ended
    kReply,           // send data(); the connection goes on
    kRefused,  // send data(); the request of that BEGIN_REQUEST is over, keep_connection() says what now
    kError,    // error() says what; nothing on this connection can be trusted any more
  };

  explicit RequestAssembler(const Limits &limits = {}, const Capabilities &capabilities = {})
      : limits_(limits), capabilities_(capabilities) {}

  // Consumes from the front of `input` up to and including the next event. data() and the input's bytes hold
  // until the next call.
  Event next(std::span<const std::uint8_t> &input);

  // The request has been answered (END_REQUEST is sent): records of its id are ignored, the next
  // BEGIN_REQUEST starts another on the same connection.
  void finish_request();
  // Another connection. Keeps the buffer for the params.
  void reset();

  [[nodiscard]] std::span<const std::uint8_t> data() const { return data_; }
  [[nodiscard]] std::span<const std::uint8_t> params() const { return params_; }
  // The web server has sent records kSettings (settings.h): then it has read the .htaccess files. Complete
  // when the params are.
  [[nodiscard]] bool has_settings() const { return has_settings_; }
  [[nodiscard]] std::span<const std::uint8_t> settings() const { return settings_; }
  [[nodiscard]] std::string_view error() const { return error_; }
  [[nodiscard]] std::uint16_t request_id() const { return request_id_; }
  [[nodiscard]] bool keep_connection() const { return keep_connection_; }
  // A request has begun and finish_request() has not been called.
  [[nodiscard]] bool active() const { return state_ != State::kNoRequest && state_ != State::kFailed; }
  // Of the request's body, seen so far.
  [[nodiscard]] std::uint64_t stdin_bytes() const { return stdin_bytes_; }
  [[nodiscard]] bool stdin_ended() const { return state_ == State::kBodyEnded; }
  // Not one byte of a record is outstanding and no request is active: where a peer may close.
  [[nodiscard]] bool idle() const { return state_ == State::kNoRequest && reader_.at_boundary(); }

 private:
  enum class State : std::uint8_t { kNoRequest, kParams, kBody, kBodyEnded, kFailed };

  bool handle(const Fragment &fragment, Event &event);
  bool begin_request(const Fragment &fragment, Event &event);
  bool take_params(const Fragment &fragment, Event &event);
  bool take_settings(const Fragment &fragment, Event &event);
  bool take_body(const Fragment &fragment, Event &event);
  bool foreign(const Fragment &fragment, Event &event);
  bool answer_values(Event &event);
  bool gather(const Fragment &fragment);
  bool fail(std::string_view what, Event &event);
  void reply(std::span<const std::uint8_t> bytes);

  Limits limits_;
  Capabilities capabilities_;
  RecordReader reader_;
  State state_ = State::kNoRequest;
  std::uint16_t request_id_ = 0;
  bool keep_connection_ = false;
  std::size_t foreign_records_ = 0;
  std::vector<std::uint8_t> params_;
  bool has_settings_ = false;
  std::vector<std::uint8_t> settings_;
  std::uint64_t stdin_bytes_ = 0;
  std::span<const std::uint8_t> data_;
  std::string_view error_;
  // A short record's content, gathered where a read has cut it.
  std::array<std::uint8_t, 512> small_{};
  std::size_t small_size_ = 0;
  bool small_overflow_ = false;
  std::array<std::uint8_t, 256> reply_{};
};

}  // namespace paddock::fastcgi
