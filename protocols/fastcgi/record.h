// FastCGI records: the 8-byte header, the bodies of fixed form, and a reader that takes a byte stream apart
// in place.
//
// Source: FastCGI Specification 1.0 (Brown, 1996), sections 3.3 (records), 4 (management), 5 (application), 8
// (values). Nothing here allocates, except the append_… helpers, which write into the caller's string.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace paddock::fastcgi {

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kHeaderSize = 8;
inline constexpr std::size_t kMaxContent = 65535;
// The longest content that needs no padding: writers of long streams cut here.
inline constexpr std::size_t kMaxAlignedContent = 65528;

enum class Type : std::uint8_t {
  kBeginRequest = 1,
  kAbortRequest = 2,
  kEndRequest = 3,
  kParams = 4,
  kStdin = 5,
  kStdout = 6,
  kStderr = 7,
  kData = 8,
  kGetValues = 9,
  kGetValuesResult = 10,
  kUnknownType = 11,
};

enum class Role : std::uint16_t { kResponder = 1, kAuthorizer = 2, kFilter = 3 };

enum class ProtocolStatus : std::uint8_t {
  kRequestComplete = 0,
  kCantMultiplex = 1,
  kOverloaded = 2,
  kUnknownRole = 3,
};

// BEGIN_REQUEST's flag: the application leaves the connection open after the answer.
inline constexpr std::uint8_t kKeepConnection = 1;

struct Header {
  std::uint8_t version = kVersion;
  std::uint8_t type = 0;  // a Type, or whatever the peer sent
  std::uint16_t request_id = 0;
  std::uint16_t content_length = 0;
  std::uint8_t padding_length = 0;
};

using HeaderBytes = std::array<std::uint8_t, kHeaderSize>;

[[nodiscard]] Header parse_header(std::span<const std::uint8_t, kHeaderSize> bytes);
[[nodiscard]] HeaderBytes format_header(Type type, std::uint16_t request_id, std::size_t content_length,
                                        std::uint8_t padding_length = 0);

// What the specification recommends: content and padding together a multiple of 8.
[[nodiscard]] constexpr std::uint8_t padding_for(std::size_t content_length) {
  return static_cast<std::uint8_t>((8 - content_length % 8) % 8);
}

// END_REQUEST, header included. It is also what tells the web server that the answer is complete.
inline constexpr std::size_t kEndRequestSize = 16;
[[nodiscard]] std::array<std::uint8_t, kEndRequestSize> format_end_request(
    std::uint16_t request_id, ProtocolStatus status, std::uint32_t application_status = 0);

// UNKNOWN_TYPE, header included: the answer to a record type that we do not know.
inline constexpr std::size_t kUnknownTypeSize = 16;
[[nodiscard]] std::array<std::uint8_t, kUnknownTypeSize> format_unknown_type(std::uint8_t type);

// Appends whole records to `out`: content longer than one record holds becomes several. Empty content of a
// stream type (PARAMS, STDIN, STDOUT, STDERR) is the record that ends the stream.
void append_record(std::string &out, Type type, std::uint16_t request_id, std::string_view content);
void append_begin_request(std::string &out, std::uint16_t request_id, Role role, std::uint8_t flags);

// A piece of one record's content, as it lies in the caller's buffer.
struct Fragment {
  Header header;
  std::span<const std::uint8_t> content;  // empty only where the record has no content
  bool first = false;                     // no content of this record came before
  bool last = false;                      // none comes after
};

// Takes a stream apart into fragments, wherever the reads happened to cut it. It buffers a header's 8 bytes
// and nothing else. Lengths are 16 bits, so that no record can announce more than it may hold.
class RecordReader {
 public:
  // Consumes from the front of `input` until a fragment is there (true) or the input is used up (false).
  // A record without content yields one fragment with first and last. Padding yields nothing.
  bool next(std::span<const std::uint8_t> &input, Fragment &fragment);

  // No record is half read: where a stream may end.
  [[nodiscard]] bool at_boundary() const { return have_ == 0 && content_left_ == 0 && padding_left_ == 0; }
  void reset() { *this = RecordReader(); }

 private:
  std::array<std::uint8_t, kHeaderSize> bytes_{};
  std::size_t have_ = 0;  // of bytes_; kHeaderSize while inside a record
  Header header_;
  std::size_t content_left_ = 0;
  std::size_t padding_left_ = 0;
};

}  // namespace paddock::fastcgi
