// FastCGI name-value pairs: the content of PARAMS and GET_VALUES (FastCGI Specification 1.0, section 3.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace paddock::fastcgi {

// Walks over encoded pairs. Names and values point into the caller's bytes.
class ParamsDecoder {
 public:
  explicit ParamsDecoder(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  // The next pair, or false: at the end, or where a length goes past it (then malformed()).
  bool next(std::string_view &name, std::string_view &value);
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  bool take_length(std::size_t &length);

  std::span<const std::uint8_t> rest_;
  bool malformed_ = false;
};

// What encoded params say of the request's body: its length, 0 for none (or for what is no number), -1 for
// one whose length is not told.
[[nodiscard]] std::int64_t announced_body(std::span<const std::uint8_t> params);

// Appends one encoded pair. Names and values are shorter than 2^31 bytes.
void append_param(std::string &out, std::string_view name, std::string_view value);

}  // namespace paddock::fastcgi
