#include "apache/suspension.h"

#include <cstring>
#include <new>

#include "apache/request_state.h"
#include "apache/waiter.h"

namespace paddock::apache {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// The MPM's thread writes two fields of its own, in the connection's pool, after it has told us that the
// connection is suspended. The pool lives at least so long after that.
constexpr milliseconds kSettle{20};
// As long as httpd lingers where it is told to be quick.
constexpr std::chrono::seconds kLingerTime{2};

void become_ready(void *who, Woken why);

Waiter *waiter = nullptr;

// Nothing is sent to workers any more once this child's listener has gone, which it does when it is told to
// and counts no connection. Told to is STOPPING, before the listener hears of it.
bool is_stopping() {
  int state = 0;
  return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

// A connection that the MPM has forgotten. In the connection's pool, and in its conn_config.
class Orphan {
 public:
  explicit Orphan(conn_rec *c) : c_(c) {}

  static Orphan *of(conn_rec *c) {
    return static_cast<Orphan *>(ap_get_module_config(c->conn_config, &paddock_module));
  }

  void adopt(Transaction &transaction, Transaction::Progress waiting_for) {
    transaction_ = &transaction;
    waiting_for_ = waiting_for;
    phase_ = Phase::kAnswer;
    pending_ = true;
    transaction.note_suspended();
  }
  [[nodiscard]] bool pending() const { return pending_; }
  [[nodiscard]] Transaction &transaction() { return *transaction_; }

  // The MPM lets go of the connection.
  void leave() {
    since_ = Waiter::Clock::now();
    pending_ = false;
    await_answer();
  }

  void note(Woken why) { woken_ = why; }
  void run();

 private:
  enum class Phase : std::uint8_t { kAnswer, kFlush, kIdle, kInput, kLastWords, kLinger, kGrave };

  // Each of these is the last thing that is done to the object: another thread may have it already.
  void await_answer();
  void await_client(Phase phase, std::uint32_t events, Waiter::Clock::duration timeout);
  void flush();
  void process();
  void linger();
  void drain();
  void bury();

  void finish_request();

  conn_rec *c_;
  Transaction *transaction_ = nullptr;
  Transaction::Progress waiting_for_ = Transaction::Progress::kBackend;
  Phase phase_ = Phase::kAnswer;
  Woken woken_ = Woken::kFirst;
  bool pending_ = false;
  Waiter::Clock::time_point since_;
  Waiter::Clock::time_point lingers_until_;
};

void Orphan::await_answer() {
  const microseconds patience(waiting_for_ == Transaction::Progress::kBackend ? transaction_->timeout()
                                                                              : c_->base_server->timeout);
  if (waiting_for_ == Transaction::Progress::kClient) {
    waiter->wait(this, {}, {client_fd(c_), EPOLLOUT}, patience);
    return;
  }
  std::uint32_t events = EPOLLIN;
  if ((transaction_->backend_events() & POLLOUT) != 0) events |= EPOLLOUT;
  waiter->wait(this, {transaction_->backend_fd(), events}, {client_fd(c_), EPOLLRDHUP}, patience);
}

void Orphan::await_client(Phase phase, std::uint32_t events, Waiter::Clock::duration timeout) {
  phase_ = phase;
  waiter->wait(this, {}, {client_fd(c_), events}, timeout);
}

void Orphan::run() {
  c_->current_thread = ap_thread_current();
  switch (phase_) {
    case Phase::kAnswer:
      transaction_->note_resumed();
      if (waiting_for_ == Transaction::Progress::kBackend) {
        if (woken_ == Woken::kTimeout) transaction_->time_out();
        if (woken_ == Woken::kSecond) transaction_->abandon();
      } else if (woken_ == Woken::kTimeout) {
        transaction_->abandon();
      }
      waiting_for_ = transaction_->advance();
      if (waiting_for_ != Transaction::Progress::kDone) {
        transaction_->note_suspended();
        return await_answer();
      }
      finish_request();
      return flush();
    case Phase::kFlush:
      return woken_ == Woken::kTimeout ? linger() : flush();
    case Phase::kIdle:
    case Phase::kInput:
      return woken_ == Woken::kTimeout ? linger() : process();
    case Phase::kLastWords:
      if (woken_ == Woken::kTimeout) c_->aborted = 1;
      return linger();
    case Phase::kLinger:
      return woken_ == Woken::kTimeout ? bury() : drain();
    case Phase::kGrave:
      apr_pool_destroy(c_->pool);
      return;
  }
}

// What ap_process_async_request() does after a handler has returned.
void Orphan::finish_request() {
  transaction_->leave_notes();
  request_rec *r = transaction_->request();
  const int outcome = transaction_->outcome();
  transaction_ = nullptr;
  ap_die(outcome, r);
  for (; r->prev != nullptr; r = r->prev) ap_finalize_request_protocol(r->prev);
  // The request, its pool and its transaction go with its last byte.
  ap_process_request_after_handler(r);
}

void Orphan::flush() {
  for (;;) {
    if (c_->cs->state != CONN_STATE_WRITE_COMPLETION || !write_quietly(c_)) return linger();
    if (c_->data_in_output_filters != 0)
      return await_client(Phase::kFlush, EPOLLOUT, microseconds(c_->base_server->timeout));
    if (c_->keepalive != AP_CONN_KEEPALIVE || c_->aborted != 0 || is_stopping()) return linger();
    if (c_->data_in_input_filters == 0)
      return await_client(Phase::kIdle, EPOLLIN | EPOLLRDHUP,
                          microseconds(c_->base_server->keep_alive_timeout));
    return process();
  }
}

// The next request of the connection.
void Orphan::process() {
  c_->cs->state = CONN_STATE_PROCESSING;
  c_->cs->sense = CONN_SENSE_DEFAULT;
  const int result = ap_run_process_connection(c_);
  if ((result != OK && result != DONE) || c_->aborted != 0) return linger();
  switch (c_->cs->state) {
    case CONN_STATE_SUSPENDED:
      if (!pending_) return linger();  // by somebody else, who cannot know that the MPM is not there
      pending_ = false;
      return await_answer();
    case CONN_STATE_KEEPALIVE:
      c_->cs->state = CONN_STATE_WRITE_COMPLETION;
      return flush();
    case CONN_STATE_WRITE_COMPLETION:
      return flush();
    case CONN_STATE_ASYNC_WAITIO:
      return await_client(Phase::kInput, c_->cs->sense == CONN_SENSE_WANT_WRITE ? EPOLLOUT : EPOLLIN,
                          microseconds(c_->base_server->timeout));
    default:
      return linger();
  }
}

void Orphan::linger() {
  c_->cs->state = CONN_STATE_LINGER;
  // What closing would flush, it would wait for.
  if (c_->data_in_output_filters != 0 && write_quietly(c_) && c_->data_in_output_filters != 0)
    return await_client(Phase::kLastWords, EPOLLOUT, kLingerTime);
  lingers_until_ = Waiter::Clock::now() + kLingerTime;
  if (ap_start_lingering_close(c_) != 0) return bury();
  apr_socket_timeout_set(ap_get_conn_socket(c_), 0);
  drain();
}

// Until the client has closed too: what it still sends would make the kernel throw away what it has not read.
void Orphan::drain() {
  char unwanted[8192];
  apr_status_t status = APR_SUCCESS;
  // A client that sends without end is read from in turns, until its time is over.
  for (int reads = 0; reads < 32 && status == APR_SUCCESS; ++reads) {
    apr_size_t size = sizeof unwanted;
    status = apr_socket_recv(ap_get_conn_socket(c_), unwanted, &size);
  }
  const auto left = lingers_until_ - Waiter::Clock::now();
  if ((status != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(status)) || left <= left.zero()) return bury();
  await_client(Phase::kLinger, EPOLLIN | EPOLLRDHUP, left);
}

void Orphan::bury() {
  apr_os_sock_t fd = -1;
  apr_socket_t *socket = ap_get_conn_socket(c_);
  if (apr_os_sock_get(&fd, socket) == APR_SUCCESS && fd >= 0) apr_socket_close(socket);
  // For the MPM's own count of suspended connections, which the pool's cleanup lowers.
  c_->cs->state = CONN_STATE_SUSPENDED;
  if (Waiter::Clock::now() - since_ < kSettle) {
    phase_ = Phase::kGrave;
    waiter->wait(this, {}, {}, kSettle);
    return;
  }
  apr_pool_destroy(c_->pool);
}

void run_orphan(void *orphan) {
  static_cast<Orphan *>(orphan)->run();
}

// On the waiter's thread.
void become_ready(void *who, Woken why) {
  static_cast<Orphan *>(who)->note(why);
  // Not positive: event.c before 2.4.69 does not shorten its poll for one that lies ahead.
  ap_mpm_register_timed_callback(-1, run_orphan, who);
}

}  // namespace

void start_suspension(apr_pool_t *child_pool, server_rec *server) {
  int is_async = 0;
  if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &is_async) != APR_SUCCESS || is_async == 0 ||
      std::strcmp(ap_show_mpm(), "event") != 0)
    return;
  auto *made = new Waiter(become_ready);
  if (const auto started = made->start(); !started.ok()) {
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "paddock: requests will hold their threads: %s",
                 started.error().message().c_str());
    delete made;
    return;
  }
  waiter = made;
  apr_pool_pre_cleanup_register(child_pool, made, [](void *of) {
    waiter = nullptr;
    delete static_cast<Waiter *>(of);
    return APR_SUCCESS;
  });
}

bool can_suspend(request_rec *r) {
  const conn_rec *c = r->connection;
  if (waiter == nullptr || c->cs == nullptr || c->master != nullptr || c->clogging_input_filters != 0 ||
      c->cs->state != CONN_STATE_HANDLER || r->main != nullptr)
    return false;
  // A connection counts from the moment that a worker has it: the listener may have gone before this one did,
  // and then nobody would take the answer. Where the child does not stop yet, the listener finds it counted,
  // and stays.
  if (is_stopping()) return false;
  for (request_rec *before = r->prev; before != nullptr; before = before->prev)
    if (!request_state(before).redirected_by_us) return false;
  return true;
}

int suspend(Transaction &transaction, Transaction::Progress waiting_for) {
  request_rec *r = transaction.request();
  conn_rec *c = r->connection;
  Orphan *orphan = Orphan::of(c);
  if (orphan == nullptr) {
    orphan = new (apr_palloc(c->pool, sizeof(Orphan))) Orphan(c);
    ap_set_module_config(c->conn_config, &paddock_module, orphan);
  }
  orphan->adopt(transaction, waiting_for);
  return pass_suspension_on(r);
}

bool is_being_suspended(conn_rec *c) {
  const Orphan *orphan = Orphan::of(c);
  return orphan != nullptr && orphan->pending();
}

int pass_suspension_on(request_rec *r) {
  if (r->prev == nullptr) {
    for (request_rec *of = Orphan::of(r->connection)->transaction().request(); of != nullptr; of = of->prev)
      of->eos_sent = 0;
    return SUSPENDED;
  }
  // ap_internal_redirect() takes no SUSPENDED. It finishes the request, which does nothing where the end of
  // the answer was sent; the redirecting handler, which is ours, then does the same, up to the client's own
  // request.
  r->eos_sent = 1;
  return OK;
}

void connection_suspended(conn_rec *c, request_rec *) {
  if (Orphan *orphan = Orphan::of(c); orphan != nullptr && orphan->pending()) orphan->leave();
}

}  // namespace paddock::apache
