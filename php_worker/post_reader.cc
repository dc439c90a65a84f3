#include "php_worker/post_reader.h"

#include <cerrno>
#include <cstring>

#include "php_worker/php_headers.h"
#include "php_worker/sapi_request.h"

namespace paddock::php_worker {
namespace {

// The stream of the request that PHP is in: there is one at most, and it is closed before the body goes.
std::uint64_t position = 0;

ssize_t read_body_stream(php_stream *stream, char *to, size_t size) {
  const std::size_t got = current_request()->body->read(position, {to, size});
  position += got;
  stream->eof = position >= current_request()->body->size() ? 1 : 0;
  return static_cast<ssize_t>(got);
}

ssize_t write_body_stream(php_stream *, const char *, size_t) {
  return -1;
}

int close_body_stream(php_stream *, int) {
  return 0;
}

int flush_body_stream(php_stream *) {
  return 0;
}

int seek_body_stream(php_stream *stream, zend_off_t offset, int whence, zend_off_t *now) {
  const auto size = static_cast<zend_off_t>(current_request()->body->size());
  const zend_off_t from = whence == SEEK_SET   ? 0
                          : whence == SEEK_CUR ? static_cast<zend_off_t>(position)
                                               : size;
  const zend_off_t wanted = from + offset;
  stream->eof = 0;
  // Behind the end one may be, as in a file.
  if (wanted < 0) {
    *now = static_cast<zend_off_t>(position);
    return -1;
  }
  position = static_cast<std::uint64_t>(wanted);
  *now = wanted;
  return 0;
}

int stat_body_stream(php_stream *, php_stream_statbuf *status) {
  std::memset(status, 0, sizeof *status);
  status->sb.st_mode = S_IFREG | 0400;
  status->sb.st_size = static_cast<off_t>(current_request()->body->size());
  return 0;
}

const php_stream_ops kBodyStream = {write_body_stream, read_body_stream, close_body_stream,
                                    flush_body_stream, "body",           seek_body_stream,
                                    nullptr,           stat_body_stream, nullptr};

// What PHP itself would warn of, or refuse, is left to it.
bool is_in_memory() {
  SapiRequest &request = *current_request();
  if (std::strcmp(SG(request_info).request_method, "POST") != 0 || SG(request_info).post_entry != nullptr ||
      request.content_length < 0 || request.body_read != 0 ||
      (SG(post_max_size) > 0 && request.content_length > SG(post_max_size)))
    return false;
  request.body = request.connection->take_body(static_cast<std::uint64_t>(request.content_length));
  return request.body != nullptr;
}

void read_post_data() {
  if (current_request() == nullptr || !is_in_memory()) return php_default_post_reader();
  SapiRequest &request = *current_request();
  position = 0;
  php_stream *const stream = php_stream_alloc(&kBodyStream, nullptr, nullptr, "rb");
  stream->flags |= PHP_STREAM_FLAG_NO_BUFFER;
  SG(request_info).request_body = stream;
  SG(read_post_bytes) = request.content_length;
  SG(post_read) = 1;
  request.body_read = request.content_length;
}

}  // namespace

void install_post_reader() {
  sapi_register_default_post_reader(read_post_data);
}

}  // namespace paddock::php_worker
