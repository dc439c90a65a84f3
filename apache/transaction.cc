#include "apache/transaction.h"

#include <algorithm>
#include <new>

#include "apache/request.h"
#include "apache/settings.h"
#include "base/log.h"
#include "base/monotonic.h"

namespace paddock::apache {

using gateway_link::WebServerReason;

namespace {

// One of several requests in an HTTP/2 connection, whose bytes go through mod_http2 and never to a socket of
// its own: writing waits there, and a stream that was reset is known by a mark, without any event.
bool is_stream(const conn_rec *c) {
  return c->master != nullptr;
}

// How often that mark is looked at.
constexpr apr_interval_time_t kStreamLook = apr_time_from_msec(250);

}  // namespace

int client_fd(conn_rec *c) {
  apr_os_sock_t fd = -1;
  apr_os_sock_get(&fd, ap_get_conn_socket(c));
  return fd;
}

Transaction &Transaction::create(request_rec *r, const Host &host, const HostTenant &tenant) {
  auto *made = new Transaction(r, host, tenant);
  apr_pool_cleanup_register(
      r->pool, made,
      [](void *transaction) {
        delete static_cast<Transaction *>(transaction);
        return APR_SUCCESS;
      },
      apr_pool_cleanup_null);
  return *made;
}

int Transaction::refuse(WebServerReason why, const char *what) {
  const char *reason = gateway_link::kWebServerReasons[static_cast<std::size_t>(why)].data();
  ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s refused (%s): %s", tenant_.name.c_str(),
                reason, what);
  place_.note_refused(host_.refusal_socket(), tenant_.name, why);
  apr_table_setn(r_->err_headers_out, "Retry-After", "5");
  apr_table_setn(r_->err_headers_out, "X-Paddock-Reason", reason);
  // A site's own ErrorDocument comes first.
  if (!host_.refusal_page().empty() &&
      ap_response_code_string(r_, ap_index_of_response(HTTP_SERVICE_UNAVAILABLE)) == nullptr)
    // httpd takes a text for one to show unless it looks like an address, which a line's end does not.
    ap_custom_response(r_, HTTP_SERVICE_UNAVAILABLE,
                       apr_pstrcat(r_->pool, "\n", host_.refusal_page().c_str(), nullptr));
  finished_ = true;
  return HTTP_SERVICE_UNAVAILABLE;
}

int Transaction::begin() {
  const ServerSettings &server = server_settings(ap_server_conf);
  const int timeout = dir_settings(r_).timeout_s;
  timeout_ = apr_time_from_sec(timeout < 0 ? kDefaultTimeout : timeout);
  apr_table_setn(r_->notes, "PADDOCK_TENANT", tenant_.name.c_str());
  if (!place_.take(tenant_.name, server.limit, server.tenant_limit))
    return refuse(WebServerReason::kLimit, "PaddockLimit or PaddockTenantLimit is reached");
  if (const int status = body_.receive(r_); status != OK) return status;
  if (const auto connected = backend_.connect(tenant_.address); !connected.ok()) {
    // A path that nobody may know is not for a log that tenants may read.
    return refuse(
        connected.error().code == EAGAIN ? WebServerReason::kBacklogFull : WebServerReason::kNotRunning,
        Error{"connect to its socket", connected.error().code}.message().c_str());
  }
  backend_.start(request_head(r_, body_), body_);
  sent_ns_ = monotonic_ns();
  return OK;
}

void Transaction::log_error_output(std::span<const char> text) {
  ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s: %s", tenant_.name.c_str(),
                log::quoted({text.data(), text.size()}).c_str());
}

Transaction::Progress Transaction::advance() {
  conn_rec *c = r_->connection;
  while (!finished_) {
    // A small answer that was received with its end goes out with it, in one write that httpd makes. Not
    // where it is the waiter that ends the request: what is left then would be waited for.
    const bool may_end_now = !was_suspended_ && !written_ && backend_.has_more();
    if (!is_stream(c) && c->data_in_output_filters != 0 && !may_end_now) {
      written_ = true;
      if (!write_quietly(c)) {
        abandon();
        break;
      }
      if (c->data_in_output_filters != 0) return Progress::kClient;
    }
    switch (backend_.next()) {
      case fastcgi::Exchange::Event::kWait:
        if (response_.has_unflushed()) {
          // PHP may have flushed, and pauses.
          if (quiet_ == nullptr && !is_stream(c)) quiet_ = std::make_unique<QuietOutput>(c);
          response_.flush();
          continue;
        }
        return Progress::kBackend;
      case fastcgi::Exchange::Event::kOutput:
        if (first_byte_ns_ == 0) first_byte_ns_ = monotonic_ns();
        if (!response_.take(backend_.data())) {
          backend_.abort();
          finished_ = true;
        }
        break;
      case fastcgi::Exchange::Event::kError:
        log_error_output(backend_.data());
        break;
      case fastcgi::Exchange::Event::kEnd:
        if (backend_.protocol_status() != 0 && !response_.headers_passed()) {
          ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s could not take the request (%u)",
                        tenant_.name.c_str(), backend_.protocol_status());
          response_.fail(HTTP_SERVICE_UNAVAILABLE);
        } else {
          response_.end();
        }
        backend_.close();
        finished_ = true;
        break;
      case fastcgi::Exchange::Event::kBroken:
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s: %s", tenant_.name.c_str(),
                      std::string(backend_.problem()).c_str());
        // A worker that was killed says nothing; one that says nonsense is another matter.
        response_.fail(backend_.received() == 0 ? HTTP_SERVICE_UNAVAILABLE : HTTP_BAD_GATEWAY);
        backend_.close();
        finished_ = true;
        break;
    }
  }
  quiet_.reset();
  return Progress::kDone;
}

bool Transaction::wait(Progress why, apr_interval_time_t time) {
  const conn_rec *c = r_->connection;
  pollfd entries[2] = {{is_stream(c) ? -1 : client_fd(r_->connection), POLLRDHUP, 0},
                       {backend_.fd(), backend_.wanted(), 0}};
  if (why == Progress::kClient) {
    entries[0].events = POLLOUT;
    entries[1].fd = -1;
  }
  const apr_time_t end = apr_time_now() + time;
  for (;;) {
    const apr_interval_time_t left = end - apr_time_now();
    const apr_interval_time_t slice = is_stream(c) ? std::min(left, kStreamLook) : left;
    const int ready = ::poll(entries, 2, slice <= 0 ? 0 : static_cast<int>((slice + 999) / 1000));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0 && slice < left && c->aborted == 0) continue;
    if (ready == 0 && c->aborted != 0) {
      abandon();
      return false;
    }
    if (ready <= 0) return false;
    if (why == Progress::kBackend && entries[1].revents == 0 && entries[0].revents != 0) {
      abandon();
      return false;
    }
    return true;
  }
}

void Transaction::abandon() {
  if (finished_) return;
  ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r_, "paddock: tenant %s: the client has gone",
                tenant_.name.c_str());
  r_->connection->aborted = 1;
  r_->connection->keepalive = AP_CONN_CLOSE;
  backend_.abort();
  quiet_.reset();
  finished_ = true;
}

void Transaction::time_out() {
  if (finished_) return;
  ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r_, "paddock: tenant %s: nothing came for %d seconds",
                tenant_.name.c_str(), static_cast<int>(apr_time_sec(timeout_)));
  backend_.abort();
  response_.fail(HTTP_GATEWAY_TIME_OUT);
  quiet_.reset();
  finished_ = true;
}

void Transaction::note_suspended() {
  was_suspended_ = true;
  place_.note_suspended(true);
}

void Transaction::note(const char *name, const char *value) {
  apr_table_setn(r_->notes, name, value);
  apr_table_setn(r_->subprocess_env, name, value);
}

void Transaction::note_time(const char *name, std::uint64_t from_ns, std::uint64_t to_ns) {
  note(name, apr_psprintf(r_->pool, "%.3f", static_cast<double>(to_ns - from_ns) / 1e6));
}

// The tenant's word for it, within what our own clock allows.
void Transaction::note_figures(std::uint64_t now_ns) {
  const fastcgi::Figures &figures = *backend_.figures();
  const std::uint64_t begun_ns = std::clamp(figures.begun_ns, sent_ns_, now_ns);
  const std::uint64_t ended_ns = std::clamp(figures.ended_ns, begun_ns, now_ns);
  note_time("PADDOCK_QUEUE_MS", sent_ns_, begun_ns);
  note_time("PADDOCK_RUN_MS", begun_ns, ended_ns);
  note_time("PADDOCK_CPU_MS", 0, figures.cpu_ns);
  note("PADDOCK_PEAK_MEMORY", apr_psprintf(r_->pool, "%" APR_UINT64_T_FMT, figures.peak_memory));
  note("PADDOCK_COMPILED", apr_psprintf(r_->pool, "%" APR_UINT64_T_FMT, figures.compiled));
}

void Transaction::leave_notes() {
  note("PADDOCK_TENANT", tenant_.name.c_str());
  note("PADDOCK_SUSPENDED", was_suspended_ ? "1" : "0");
  if (sent_ns_ == 0) return;
  const std::uint64_t now_ns = monotonic_ns();
  if (first_byte_ns_ != 0) note_time("PADDOCK_FIRST_BYTE_MS", sent_ns_, first_byte_ns_);
  note_time("PADDOCK_TOTAL_MS", sent_ns_, now_ns);
  if (backend_.figures()) note_figures(now_ns);
}

}  // namespace paddock::apache
