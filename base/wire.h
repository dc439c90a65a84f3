// The encoding of the messages that Paddock's own programs send each other.
//
// A message is a struct with `static constexpr std::uint8_t kType` and
//     template <typename Io> void fields(Io &io) { io(id); io(name); }
// which both encodes and decodes it. On the wire: an 8-byte header {magic, version, type, body length}, then
// the fields in the machine's byte order (both ends run on one machine), strings and lists behind a 32-bit
// count. A decoder accepts a body only when every length fits and nothing is left over. Integers, bools,
// enums, strings, vectors and nested structs with fields() can be members.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace paddock::wire {

inline constexpr std::uint16_t kMagic = 0x5044;
inline constexpr std::uint8_t kVersion = 1;
// The largest message, header included: SOCK_SEQPACKET keeps a message whole, and this fits its default
// buffer.
inline constexpr std::size_t kMaxMessage = 64 * 1024;
inline constexpr std::size_t kHeaderSize = 8;

struct Header {
  std::uint16_t magic = kMagic;
  std::uint8_t version = kVersion;
  std::uint8_t type = 0;
  std::uint32_t length = 0;
};
static_assert(sizeof(Header) == kHeaderSize);

class Encoder {
 public:
  explicit Encoder(std::uint8_t type) : bytes_(kHeaderSize) { header_.type = type; }

  template <typename T>
  void operator()(const T &value) {
    if constexpr (std::is_same_v<T, std::string>) {
      count(value.size());
      append(value.data(), value.size());
    } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      append(&value, sizeof value);
    } else if constexpr (requires {
                           value.begin();
                           value.size();
                         }) {
      count(value.size());
      for (const auto &item : value) (*this)(item);
    } else {
      const_cast<T &>(value).fields(
          *this);  // fields() is one function for both directions; this one only reads
    }
  }

  [[nodiscard]] std::vector<std::uint8_t> take() && {
    header_.length = static_cast<std::uint32_t>(bytes_.size() - kHeaderSize);
    std::memcpy(bytes_.data(), &header_, sizeof header_);
    return std::move(bytes_);
  }

 private:
  void count(std::size_t n) { (*this)(static_cast<std::uint32_t>(n)); }
  void append(const void *data, std::size_t size) {
    const auto *first = static_cast<const std::uint8_t *>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }

  Header header_;
  std::vector<std::uint8_t> bytes_;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::uint8_t> body) : rest_(body) {}

  template <typename T>
  void operator()(T &value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      (*this)(byte);
      if (byte > 1) failed_ = true;
      value = byte == 1;
    } else if constexpr (std::is_same_v<T, std::string>) {
      const std::size_t size = count(1);
      value.assign(reinterpret_cast<const char *>(rest_.data()), size);
      rest_ = rest_.subspan(size);
    } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      if (rest_.size() < sizeof value) return fail();
      std::memcpy(&value, rest_.data(), sizeof value);
      rest_ = rest_.subspan(sizeof value);
    } else if constexpr (requires {
                           value.begin();
                           value.emplace_back();
                         }) {
      value.clear();
      // An element takes a byte at the least, so that a count that lies cannot make us allocate.
      for (std::size_t n = count(1); n > 0 && !failed_; --n) (*this)(value.emplace_back());
    } else {
      value.fields(*this);
    }
  }

  [[nodiscard]] bool complete() const { return !failed_ && rest_.empty(); }

 private:
  std::size_t count(std::size_t element_size) {
    std::uint32_t n = 0;
    (*this)(n);
    if (failed_ || n > rest_.size() / element_size) {
      fail();
      return 0;
    }
    return n;
  }
  void fail() {
    failed_ = true;
    rest_ = {};
  }

  std::span<const std::uint8_t> rest_;
  bool failed_ = false;
};

template <typename Message>
[[nodiscard]] std::vector<std::uint8_t> encode(const Message &message) {
  Encoder encoder(Message::kType);
  encoder(message);
  return std::move(encoder).take();
}

// The header of a whole packet; an error when magic, version or length are not as they must be.
[[nodiscard]] Result<Header> decode_header(std::span<const std::uint8_t> packet);

// The body of a packet as a Message. Errors: another type, a length that lies, bytes left over.
template <typename Message>
[[nodiscard]] Result<Message> decode(std::span<const std::uint8_t> packet) {
  PADDOCK_TRY(const Header header, decode_header(packet));
  if (header.type != Message::kType)
    return Error{"decode message: type " + std::to_string(header.type) + " where " +
                 std::to_string(Message::kType) + " was expected"};
  Message message;
  Decoder decoder(packet.subspan(kHeaderSize));
  decoder(message);
  if (!decoder.complete())
    return Error{"decode message of type " + std::to_string(header.type) + ": malformed body of " +
                 std::to_string(header.length) + " bytes"};
  return message;
}

}  // namespace paddock::wire
