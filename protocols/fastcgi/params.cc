#include "protocols/fastcgi/params.h"

#include <algorithm>
#include <charconv>

namespace paddock::fastcgi {
namespace {

void append_length(std::string &out, std::size_t length) {
  if (length < 0x80) {
    out += static_cast<char>(length);
    return;
  }
  out += static_cast<char>(length >> 24 | 0x80);
  out += static_cast<char>(length >> 16);
  out += static_cast<char>(length >> 8);
  out += static_cast<char>(length);
}

}  // namespace

bool ParamsDecoder::take_length(std::size_t &length) {
  if (rest_.empty()) return false;
  length = rest_[0];
  if (length < 0x80) {
    rest_ = rest_.subspan(1);
    return true;
  }
  if (rest_.size() < 4) return false;
  length = (length & 0x7f) << 24 | static_cast<std::size_t>(rest_[1]) << 16 |
           static_cast<std::size_t>(rest_[2]) << 8 | rest_[3];
  rest_ = rest_.subspan(4);
  return true;
}

bool ParamsDecoder::next(std::string_view &name, std::string_view &value) {
  if (rest_.empty() || malformed_) return false;
  std::size_t name_size = 0;
  std::size_t value_size = 0;
  if (!take_length(name_size) || !take_length(value_size) || name_size > rest_.size() ||
      value_size > rest_.size() - name_size) {
    malformed_ = true;
    return false;
  }
  const auto *text = reinterpret_cast<const char *>(rest_.data());
  name = {text, name_size};
  value = {text + name_size, value_size};
  rest_ = rest_.subspan(name_size + value_size);
  return true;
}

std::int64_t announced_body(std::span<const std::uint8_t> params) {
  std::string_view name;
  std::string_view value;
  std::int64_t length = 0;
  fastcgi::ParamsDecoder decoder(params);
  while (decoder.next(name, value)) {
    if (name == "CONTENT_LENGTH" && !value.empty()) {
      if (std::from_chars(value.data(), value.data() + value.size(), length).ec != std::errc()) return 0;
      return std::max<std::int64_t>(length, 0);
    }
    if (name == "HTTP_TRANSFER_ENCODING" && value.find("chunked") != std::string_view::npos) length = -1;
  }
  return length;
}

void append_param(std::string &out, std::string_view name, std::string_view value) {
  append_length(out, name.size());
  append_length(out, value.size());
  out += name;
  out += value;
}

}  // namespace paddock::fastcgi
