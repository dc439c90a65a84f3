#include "php_worker/response_headers.h"

#include <strings.h>

#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

// Holds a static table; after SAPI.h.
#include <main/http_status_codes.h>

namespace paddock::php_worker {
namespace {

void write(Connection &connection, std::string_view text) {
  connection.write(text.data(), text.size());
}

std::string_view reason_of(int code) {
  for (const http_response_status_code_pair &pair : http_status_map)
    if (pair.code == code && pair.str != nullptr) return pair.str;
  return {};
}

bool is_status_header(const sapi_header_struct &header) {
  return header.header_len >= 7 && ::strncasecmp(header.header, "Status:", 7) == 0;
}

unsigned number_of(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  unsigned number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool is(const sapi_header_struct &header, std::string_view name) {
  return header.header_len > name.size() && header.header[name.size()] == ':' &&
         ::strncasecmp(header.header, name.data(), name.size()) == 0;
}

// Whether an answer with that status may tell its body's length (RFC 9110, section 8.6). PHP has no body for
// HEAD.
bool may_tell_length(unsigned status) {
  return status >= 200 && status != 204 && status != 304 && !SG(request_info).headers_only;
}

bool has_status_header(sapi_headers_struct &headers) {
  bool found = false;
  for_each_header(headers,
                  [&](const sapi_header_struct &header) { found = found || is_status_header(header); });
  return found;
}

void write_status(Connection &connection, const sapi_headers_struct &headers) {
  constexpr std::string_view kName = "Status: ";
  // The line in all; PHP-FPM cuts there too (SAPI_CGI_MAX_HEADER_LENGTH, with its NUL).
  constexpr std::size_t kLongestLine = 1023;
  write(connection, kName);
  // header("HTTP/1.1 404 Nowhere"): the script's own reason.
  if (headers.http_status_line != nullptr && ::strncasecmp(headers.http_status_line, "HTTP/", 5) == 0) {
    if (const char *space = std::strchr(headers.http_status_line, ' '); space != nullptr) {
      write(connection, std::string_view(space + 1).substr(0, kLongestLine - kName.size()));
      write(connection, "\r\n");
      return;
    }
  }
  std::array<char, 12> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), headers.http_response_code).ptr;
  write(connection, {digits.data(), static_cast<std::size_t>(end - digits.data())});
  if (const std::string_view reason = reason_of(headers.http_response_code); !reason.empty()) {
    write(connection, " ");
    write(connection, reason);
  }
  write(connection, "\r\n");
}

}  // namespace

unsigned write_response_headers(Connection &connection, sapi_headers_struct &headers) {
  unsigned status = headers.http_response_code == 0 ? 200 : static_cast<unsigned>(headers.http_response_code);
  const bool status_is_there = has_status_header(headers);
  if (!status_is_there && headers.http_response_code != 200 && headers.http_response_code != 0)
    write_status(connection, headers);
  bool status_written = false;
  bool length_written = false;
  for_each_header(headers, [&](const sapi_header_struct &header) {
    if (header.header_len == 0) return;
    if (is_status_header(header)) {
      // Web servers take the first and choke on a second.
      if (status_written) return;
      status_written = true;
      status = number_of({header.header + 7, header.header_len - 7});
    }
    length_written = length_written || is(header, "Content-Length") || is(header, "Transfer-Encoding");
    write(connection, {header.header, header.header_len});
    write(connection, "\r\n");
  });
  if (headers.send_default_content_type != 0) {
    sapi_header_struct type{};
    sapi_get_default_content_type_header(&type);
    write(connection, {type.header, type.header_len});
    write(connection, "\r\n");
    sapi_free_header(&type);
  }
  if (!length_written && may_tell_length(status)) connection.tell_length_here();
  write(connection, "\r\n");
  return status;
}

}  // namespace paddock::php_worker
