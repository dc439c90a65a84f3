#include "apache/body.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace paddock::apache {
namespace {

UniqueFd nameless_file(request_rec *r) {
  const char *directory = nullptr;
  if (apr_temp_dir_get(&directory, r->pool) != APR_SUCCESS) directory = "/tmp";
  UniqueFd file(::open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid()) return file;
  // Not every file system has O_TMPFILE.
  char *path = apr_pstrcat(r->pool, directory, "/paddock-body-XXXXXX", nullptr);
  file.reset(::mkostemp(path, O_CLOEXEC));
  if (file.valid()) ::unlink(path);
  return file;
}

}  // namespace

bool Body::append(const char *data, std::size_t size) {
  size_ += size;
  if (!file_.valid()) {
    memory_.append(data, size);
    return true;
  }
  while (size > 0) {
    const ssize_t written = ::write(file_.get(), data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

int Body::receive(request_rec *r) {
  exists_ = ap_request_has_body(r) != 0;
  if (!exists_) return OK;
  apr_bucket_brigade *brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
  for (bool ended = false; !ended;) {
    if (const apr_status_t status =
            ap_get_brigade(r->input_filters, brigade, AP_MODE_READBYTES, APR_BLOCK_READ, kInMemory);
        status != APR_SUCCESS) {
      apr_brigade_destroy(brigade);
      return ap_map_http_request_error(status, HTTP_BAD_REQUEST);
    }
    for (apr_bucket *at = APR_BRIGADE_FIRST(brigade); at != APR_BRIGADE_SENTINEL(brigade) && !ended;
         at = APR_BUCKET_NEXT(at)) {
      ended = APR_BUCKET_IS_EOS(at);
      if (APR_BUCKET_IS_METADATA(at)) continue;
      const char *data = nullptr;
      apr_size_t size = 0;
      if (apr_bucket_read(at, &data, &size, APR_BLOCK_READ) != APR_SUCCESS) return HTTP_BAD_REQUEST;
      if (!file_.valid() && size_ + size > kInMemory) {
        file_ = nameless_file(r);
        const std::string so_far = std::move(memory_);
        memory_.clear();
        size_ = 0;
        if (!file_.valid() || !append(so_far.data(), so_far.size())) size_ = UINT64_MAX;
      }
      if (size_ == UINT64_MAX || !append(data, size)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, errno, r, "paddock: cannot keep the request's body in a file");
        apr_brigade_destroy(brigade);
        return HTTP_INSUFFICIENT_STORAGE;
      }
    }
    apr_brigade_cleanup(brigade);
  }
  apr_brigade_destroy(brigade);
  return OK;
}

std::string Body::take(std::size_t limit) {
  std::string piece;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(limit, size_ - taken_));
  if (!file_.valid()) {
    piece = wanted == memory_.size() ? std::move(memory_)
                                     : memory_.substr(static_cast<std::size_t>(taken_), wanted);
  } else {
    piece.resize(wanted);
    std::size_t filled = 0;
    while (filled < wanted) {
      const ssize_t got =
          ::pread(file_.get(), piece.data() + filled, wanted - filled, static_cast<off_t>(taken_ + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        failed_ = true;
        return {};
      }
      filled += static_cast<std::size_t>(got);
    }
  }
  taken_ += wanted;
  return piece;
}

}  // namespace paddock::apache
