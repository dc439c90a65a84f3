#include "apache/response.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "base/unique_fd.h"

namespace paddock::apache {
namespace {

// Where the header block ends, the empty line included; 0: not yet.
std::size_t end_of_header(std::string_view text) {
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    const std::string_view next = text.substr(at + 1);
    if (next.starts_with("\n")) return at + 2;
    if (next.starts_with("\r\n")) return at + 3;
  }
  if (text.starts_with("\n")) return 1;
  if (text.starts_with("\r\n")) return 2;
  return 0;
}

// What of a header block httpd would cut or misunderstand. Null: nothing.
const char *wrong_with(std::string_view header) {
  if (header.find('\0') != std::string_view::npos) return "a NUL in its header";
  while (!header.empty()) {
    const std::size_t end = header.find('\n');
    std::string_view line = header.substr(0, end);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (line.size() > Response::kMaxLine) return "a header line that is too long";
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return "a header line without a name";
    for (const char c : line.substr(0, colon))
      if (static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f)
        return "a header with an impossible name";
    for (const char c : line.substr(colon + 1))
      if (static_cast<unsigned char>(c) < ' ' && c != '\t') return "a control character in its header";
  }
  return nullptr;
}

}  // namespace

bool Response::refuse(const char *what) {
  ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s answered with %s: %s", tenant_.name.c_str(),
                what, r_->filename);
  outcome_ = HTTP_BAD_GATEWAY;
  r_->status = HTTP_OK;  // what a lying Status: has left there is not to be logged as the request's own
  r_->status_line = nullptr;
  state_ = State::kIgnored;
  return false;
}

bool Response::take(std::span<const char> data) {
  switch (state_) {
    case State::kHeader:
      return take_header(data);
    case State::kBody:
      return pass(data);
    case State::kIgnored:
      return outcome_ == OK;
  }
  return false;
}

bool Response::take_header(std::span<const char> data) {
  // Most answers come in one piece: the copy is small.
  const std::size_t before = header_.size();
  header_.append(data.data(), std::min(data.size(), kMaxHeader + 1));
  const std::size_t from = before > 3 ? before - 3 : 0;
  const std::size_t found = end_of_header(std::string_view(header_).substr(from));
  // An empty line at the very start of a later piece is the end only if a line has ended before it.
  const std::size_t size = found == 0 ? 0 : end_of_header(header_);
  if (size == 0) {
    if (header_.size() > kMaxHeader) return refuse("a header that is too long");
    return true;
  }
  if (size > kMaxHeader) return refuse("a header that is too long");
  if (!judge_header(size)) return false;
  const std::string first = header_.substr(size);
  const std::size_t cut = data.size() - std::min(data.size(), kMaxHeader + 1);
  header_.clear();
  header_.shrink_to_fit();
  if (state_ != State::kBody) return outcome_ == OK;
  if (!first.empty() && !pass(first)) return false;
  return cut == 0 || pass(data.subspan(data.size() - cut));
}

bool Response::judge_header(std::size_t size) {
  header_.insert(size, 1, '\0');  // for the scanner below; what follows is the body
  const std::string_view text(header_.data(), size);
  if (const char *what = wrong_with(text); what != nullptr) return refuse(what);
  const char *end = nullptr;
  int more = 0;
  const int status = ap_scan_script_header_err_strs_ex(r_, nullptr, APLOG_MODULE_INDEX, &end, &more,
                                                       header_.data(), nullptr);
  header_.erase(size, 1);
  if (status == HTTP_NOT_MODIFIED || status == HTTP_PRECONDITION_FAILED) {
    // The client has what PHP is about to send.
    outcome_ = status;
    state_ = State::kIgnored;
    return false;
  }
  if (status != OK) return refuse("a header that is none");
  if (r_->status < 200 || !ap_is_HTTP_VALID_RESPONSE(r_->status)) return refuse("an impossible status");
  apr_table_unset(r_->headers_out, "Transfer-Encoding");  // httpd decides that
  if (!take_length()) return false;
  state_ = State::kBody;
  if (const char *path = apr_table_get(r_->err_headers_out, "X-Sendfile"); path != nullptr)
    return send_file(path);
  return true;
}

// A length that is not kept would mix this answer with the next on the client's connection: it is watched.
bool Response::take_length() {
  const char *text = apr_table_get(r_->headers_out, "Content-Length");
  if (text == nullptr) return true;
  const char *end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, length_left_);
  if (error != std::errc() || at != end || length_left_ > INT64_MAX)
    return refuse("an impossible Content-Length");
  length_known_ = r_->header_only == 0 && !AP_STATUS_IS_HEADER_ONLY(r_->status);
  return true;
}

apr_bucket_brigade *Response::brigade() {
  if (brigade_ == nullptr) brigade_ = apr_brigade_create(r_->pool, r_->connection->bucket_alloc);
  return brigade_;
}

bool Response::pass(std::span<const char> data) {
  if (data.empty() || ended_) return true;
  if (length_known_ && data.size() > length_left_) {
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s sends more than its Content-Length: %s",
                  tenant_.name.c_str(), r_->filename);
    data = data.first(static_cast<std::size_t>(length_left_));
    if (data.empty()) return true;
  }
  length_left_ -= length_known_ ? data.size() : 0;
  apr_bucket *bucket = apr_bucket_transient_create(data.data(), data.size(), r_->connection->bucket_alloc);
  apr_bucket_brigade *out = brigade();
  APR_BRIGADE_INSERT_TAIL(out, bucket);
  return pass_brigade();
}

bool Response::pass_brigade() {
  const apr_status_t status = ap_pass_brigade(r_->output_filters, brigade());
  apr_brigade_cleanup(brigade_);
  unflushed_ = true;
  if (status == APR_SUCCESS && r_->connection->aborted == 0) return true;
  outcome_ = r_->connection->aborted != 0 ? OK : AP_FILTER_ERROR;
  ended_ = true;
  return false;
}

void Response::flush() {
  unflushed_ = false;
  apr_bucket_brigade *out = brigade();
  APR_BRIGADE_INSERT_TAIL(out, apr_bucket_flush_create(r_->connection->bucket_alloc));
  pass_brigade();
  unflushed_ = false;
}

void Response::end() {
  if (ended_) return;
  if (state_ == State::kHeader) {
    refuse(header_.empty() ? "nothing" : "an unfinished header");
    return;
  }
  if (state_ == State::kIgnored) return;
  if (length_known_ && length_left_ > 0) {
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_,
                  "paddock: tenant %s sent %" APR_UINT64_T_FMT " bytes less than its Content-Length: %s",
                  tenant_.name.c_str(), static_cast<apr_uint64_t>(length_left_), r_->filename);
    break_off();
    return;
  }
  apr_bucket_brigade *out = brigade();
  APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(r_->connection->bucket_alloc));
  pass_brigade();
  ended_ = true;
}

// The client must notice that this is not the whole answer: no last chunk, and the connection closes.
void Response::break_off() {
  r_->connection->keepalive = AP_CONN_CLOSE;
  apr_bucket_brigade *out = brigade();
  APR_BRIGADE_INSERT_TAIL(
      out, ap_bucket_error_create(HTTP_BAD_GATEWAY, nullptr, r_->pool, r_->connection->bucket_alloc));
  APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(r_->connection->bucket_alloc));
  pass_brigade();
  ended_ = true;
  outcome_ = OK;
}

void Response::fail(int status) {
  if (ended_) return;
  if (state_ == State::kBody) {
    break_off();
  } else if (state_ == State::kHeader) {
    outcome_ = status;
    state_ = State::kIgnored;
  }
}

// X-Sendfile: PATH. Apache sends the file itself, if it could have served it to anybody: below the tenant's
// home, the tenant's own, and readable by Apache's user. Links are resolved before that is asked, and the
// file is asked again when it is open.
bool Response::send_file(const char *path) {
  const std::string wanted = path;
  apr_table_unset(r_->err_headers_out, "X-Sendfile");
  apr_table_unset(r_->headers_out, "Content-Length");
  length_known_ = false;
  char resolved[PATH_MAX];
  const std::string home = tenant_.home + "/";
  UniqueFd file;
  struct stat status {};
  if (wanted.starts_with('/') && ::realpath(wanted.c_str(), resolved) != nullptr &&
      std::string_view(resolved).starts_with(home))
    file.reset(::open(resolved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_uid != tenant_.uid) {
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s may not have %s sent (X-Sendfile)",
                  tenant_.name.c_str(), log::quoted(wanted).c_str());
    outcome_ = HTTP_NOT_FOUND;
    state_ = State::kIgnored;
    return false;
  }
  apr_file_t *handle = nullptr;
  int number = file.release();
  apr_os_file_put(&handle, &number, APR_READ, r_->pool);
  apr_pool_cleanup_register(
      r_->pool, handle, [](void *of) { return apr_file_close(static_cast<apr_file_t *>(of)); },
      apr_pool_cleanup_null);
  ap_set_content_length(r_, status.st_size);
  // Not mapped: the tenant may truncate it meanwhile, and httpd would get SIGBUS.
  apr_bucket *content = apr_brigade_insert_file(brigade(), handle, 0, status.st_size, r_->pool);
  apr_bucket_file_enable_mmap(content, 0);
  APR_BRIGADE_INSERT_TAIL(brigade(), apr_bucket_eos_create(r_->connection->bucket_alloc));
  if (pass_brigade()) {
    ended_ = true;
    state_ = State::kIgnored;  // what PHP says beside it is not part of the answer
  }
  return outcome_ == OK;
}

}  // namespace paddock::apache
