#include "protocols/fastcgi/record.h"

#include <algorithm>
#include <cstring>

namespace paddock::fastcgi {
namespace {

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

}  // namespace

Header parse_header(std::span<const std::uint8_t, kHeaderSize> bytes) {
  return {bytes[0], bytes[1], static_cast<std::uint16_t>(bytes[2] << 8 | bytes[3]),
          static_cast<std::uint16_t>(bytes[4] << 8 | bytes[5]), bytes[6]};
}

HeaderBytes format_header(Type type, std::uint16_t request_id, std::size_t content_length,
                          std::uint8_t padding_length) {
  return {kVersion,
          static_cast<std::uint8_t>(type),
          static_cast<std::uint8_t>(request_id >> 8),
          static_cast<std::uint8_t>(request_id),
          static_cast<std::uint8_t>(content_length >> 8),
          static_cast<std::uint8_t>(content_length),
          padding_length,
          0};
}

std::array<std::uint8_t, kEndRequestSize> format_end_request(std::uint16_t request_id, ProtocolStatus status,
                                                             std::uint32_t application_status) {
  std::array<std::uint8_t, kEndRequestSize> record{};
  const HeaderBytes header = format_header(Type::kEndRequest, request_id, 8);
  std::copy(header.begin(), header.end(), record.begin());
  for (std::size_t i = 0; i < 4; ++i)
    record[kHeaderSize + i] = static_cast<std::uint8_t>(application_status >> (24 - 8 * i));
  record[kHeaderSize + 4] = static_cast<std::uint8_t>(status);
  return record;
}

std::array<std::uint8_t, kUnknownTypeSize> format_unknown_type(std::uint8_t type) {
  std::array<std::uint8_t, kUnknownTypeSize> record{};
  const HeaderBytes header = format_header(Type::kUnknownType, 0, 8);
  std::copy(header.begin(), header.end(), record.begin());
  record[kHeaderSize] = type;
  return record;
}

void append_record(std::string &out, Type type, std::uint16_t request_id, std::string_view content) {
  do {
    const std::string_view piece =
        content.substr(0, content.size() > kMaxContent ? kMaxAlignedContent : content.size());
    content.remove_prefix(piece.size());
    const std::uint8_t padding = padding_for(piece.size());
    out += as_text(format_header(type, request_id, piece.size(), padding));
    out += piece;
    out.append(padding, '\0');
  } while (!content.empty());
}

void append_begin_request(std::string &out, std::uint16_t request_id, Role role, std::uint8_t flags) {
  const std::array<char, 8> body = {static_cast<char>(static_cast<std::uint16_t>(role) >> 8),
                                    static_cast<char>(static_cast<std::uint16_t>(role)),
                                    static_cast<char>(flags)};
  append_record(out, Type::kBeginRequest, request_id, {body.data(), body.size()});
}

bool RecordReader::next(std::span<const std::uint8_t> &input, Fragment &fragment) {
  while (!input.empty()) {
    if (have_ < kHeaderSize) {
      const std::size_t taken = std::min(kHeaderSize - have_, input.size());
      std::memcpy(bytes_.data() + have_, input.data(), taken);
      have_ += taken;
      input = input.subspan(taken);
      if (have_ < kHeaderSize) return false;
      header_ = parse_header(bytes_);
      content_left_ = header_.content_length;
      padding_left_ = header_.padding_length;
      if (content_left_ == 0) {
        fragment = {header_, {}, true, true};
        if (padding_left_ == 0) have_ = 0;
        return true;
      }
    } else if (content_left_ > 0) {
      const std::size_t taken = std::min(content_left_, input.size());
      fragment = {header_, input.first(taken), content_left_ == header_.content_length,
                  taken == content_left_};
      input = input.subspan(taken);
      content_left_ -= taken;
      if (content_left_ == 0 && padding_left_ == 0) have_ = 0;
      return true;
    } else {
      const std::size_t taken = std::min(padding_left_, input.size());
      input = input.subspan(taken);
      padding_left_ -= taken;
      if (padding_left_ == 0) have_ = 0;
    }
  }
  return false;
}

}  // namespace paddock::fastcgi
