// One request of a client, from its handler to the end of its answer, whoever runs it: the thread that read
// the request, or, after it was suspended, any other.
#pragma once

#include <memory>

#include "apache/admission.h"
#include "apache/apache.h"
#include "apache/body.h"
#include "apache/host.h"
#include "apache/quiet_output.h"
#include "apache/response.h"

namespace paddock::apache {

class Transaction {
 public:
  enum class Progress {
    kBackend,  // nothing to do until backend_events() come on backend_fd()
    kClient,   // nothing to do until the client takes more of the answer
    kDone,     // outcome() is what a handler returns
  };

  // Lives as long as the request: r's pool destroys it.
  static Transaction &create(request_rec *r, const Host &host, const HostTenant &tenant);

  // Reads the body, connects and sends what can be sent. OK, or the status to answer.
  int begin();
  // As far as it goes without waiting.
  Progress advance();
  // Waits in this thread; false: the client is gone (abandon() has been called) or nothing has come for the
  // timeout.
  bool wait(Progress why, apr_interval_time_t time);
  // The client is gone: the backend is told so.
  void abandon();
  // Nothing came from PHP for PaddockTimeout.
  void time_out();

  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] request_rec *request() const { return r_; }
  [[nodiscard]] int outcome() const { return response_.outcome(); }
  [[nodiscard]] int backend_fd() const { return backend_.fd(); }
  [[nodiscard]] short backend_events() const { return backend_.wanted(); }
  [[nodiscard]] apr_interval_time_t timeout() const { return timeout_; }
  void note_suspended();
  void note_resumed() { place_.note_suspended(false); }
  // For the access log, in the request's notes and environment: PADDOCK_TENANT and so on.
  void leave_notes();

 private:
  Transaction(request_rec *r, const Host &host, const HostTenant &tenant)
      : r_(r), host_(host), tenant_(tenant), response_(r, tenant) {}

  int refuse(gateway_link::WebServerReason why, const char *what);
  void note_figures(std::uint64_t now_ns);
  void note(const char *name, const char *value);
  void note_time(const char *name, std::uint64_t from_ns, std::uint64_t to_ns);
  void log_error_output(std::span<const char> text);

  request_rec *r_;
  const Host &host_;
  const HostTenant &tenant_;
  Place place_;
  Body body_;
  fastcgi::Exchange backend_;
  Response response_;
  std::unique_ptr<QuietOutput> quiet_;
  apr_interval_time_t timeout_ = 0;
  std::uint64_t sent_ns_ = 0;  // CLOCK_MONOTONIC, as in the figures
  std::uint64_t first_byte_ns_ = 0;
  bool was_suspended_ = false;
  bool written_ = false;  // some of the answer has been written to the client
  bool finished_ = false;
};

// The descriptor of the client's connection.
[[nodiscard]] int client_fd(conn_rec *c);

}  // namespace paddock::apache
