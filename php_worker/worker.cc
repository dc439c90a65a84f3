#include "php_worker/worker.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>

#include "base/message_socket.h"
#include "base/monotonic.h"
#include "php_worker/access_log.h"
#include "php_worker/connection.h"
#include "php_worker/params.h"
#include "php_worker/patience.h"
#include "php_worker/relief.h"
#include "php_worker/request_figures.h"
#include "php_worker/request_intake.h"
#include "php_worker/responder.h"
#include "php_worker/sapi.h"
#include "php_worker/sapi_request.h"
#include "php_worker/title.h"
#include "php_worker/vm_interrupt.h"
#include "protocols/fastcgi/params.h"

namespace paddock::php_worker {
namespace {

using scoreboard::State;

template <std::size_t N>
void copy_text(char (&to)[N], std::string_view text) {
  const std::size_t size = std::min(text.size(), N - 1);
  if (size > 0) std::memcpy(to, text.data(), size);  // a param that is not there has no data() at all
  to[size] = '\0';
}

// A worker that waits for the gateway looks so often whether it still has to, milliseconds: a gateway that
// was started anew does not know who had asked the one before.
constexpr int kGatewayPatience = 1'000;
// For the gateway to take a connection over.
constexpr int kGatewayTries = 20;
constexpr int kGatewayTryTime = 50;  // milliseconds
// For the next request of a connection that the web server wants kept, while another worker is free.
constexpr std::chrono::milliseconds kKeptTime{20};
constexpr std::chrono::milliseconds kNoTime{0};
constexpr unsigned kBrokenPause = 50'000;  // microseconds
// Between two requests, nanoseconds: who took longer has waited for the second, not just accepted it.
constexpr std::uint64_t kGap = 20'000;

scoreboard::Slot *own_slot = nullptr;

void note_script(const char *path) {
  copy_text(own_slot->script, path);
}

class Worker final : private Relief {
 public:
  explicit Worker(const WorkerContext &context)
      : context_(context),
        slot_(context.board->slots[context.slot]),
        idle_title_("paddock: " + context.pool_name + " idle"),
        busy_title_("paddock: " + context.pool_name + " ") {
    own_slot = &slot_;
  }

  int run() {
    slot_.requests.store(0, std::memory_order_relaxed);
    slot_.pid.store(::getpid(), std::memory_order_relaxed);
    slot_.since_ns.store(monotonic_ns(), std::memory_order_relaxed);
    slot_.state.store(static_cast<std::uint32_t>(State::kIdle), std::memory_order_release);
    set_title(idle_title_);
    while (!told_to_end()) {
      // A plain load: a warm request pays nothing for the gateway's being there. Who has asked is woken by
      // whatever comes; an answer that somebody else took would leave it waiting.
      if (context_.page->handed.load(std::memory_order_relaxed) !=
              context_.control->handed_seen.load(std::memory_order_relaxed) &&
          !somebody_asks() && serve_handed())
        continue;
      if (context_.page->takeover.load(std::memory_order_relaxed) != 0) {
        ask_gateway();
        continue;
      }
      // The gateway has given the socket back: if the answer was lost, or is still to come, nobody waits for
      // it.
      if (asked_) set_asked(false);
      if (const int fd = accept(); fd >= 0) {
        connection_.adopt(fd);
        serve();
      }
    }
    // What was handed over before the order to end is answered.
    while (context_.handoff.valid() && serve_handed()) {
    }
    return 0;
  }

 private:
  bool told_to_end() {
    if (context_.control->draining.load(std::memory_order_relaxed) != 0 ||
        context_.control->quit[context_.slot].load(std::memory_order_relaxed) != 0)
      return true;
    const std::uint32_t limit = context_.control->requests_per_worker.load(std::memory_order_relaxed);
    // Workers started together do not end together.
    return limit != 0 && served_ >= limit + (limit / 16 + 1) * (context_.slot % 8);
  }

  // The next connection; -1: look again whether to go on.
  int accept() {
    const int fd = ::accept4(context_.listen.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) return fd;
    const int failure = errno;
    switch (failure) {
      case EAGAIN: {
        // Somebody who shares the socket has made it non-blocking.
        pollfd entry{context_.listen.get(), POLLIN, 0};
        ::poll(&entry, 1, -1);
        break;
      }
      case EINTR:
      case ECONNABORTED:
        break;
      default:
        log_line("accept failed", std::strerror(failure));
        // EMFILE, ENOMEM: not for the CPU to spin on. EINVAL: shut down, and the supervisor replaces the
        // socket when this idle sandbox has gone.
        ::usleep(failure == EINVAL ? 900'000 : 50'000);
    }
    return -1;
  }

  // Serves the next connection that the gateway has handed to whoever is free. False: there is none.
  bool serve_handed() {
    const std::uint32_t handed = context_.page->handed.load(std::memory_order_acquire);
    switch (take_answer()) {
      case Answer::kConnection:
        serve();
        return true;
      case Answer::kOther:
        return true;
      case Answer::kNone:
        break;
    }
    // Seen as of before we looked: what was sent since has changed the page.
    context_.control->handed_seen.store(handed, std::memory_order_relaxed);
    return false;
  }

  // Whether a worker is there that whatever the gateway sends wakes.
  [[nodiscard]] bool somebody_asks() const {
    const std::uint32_t most =
        std::min(context_.control->workers_max.load(std::memory_order_relaxed) * 2, scoreboard::kMaxWorkers);
    return std::any_of(context_.board->slots, context_.board->slots + most, [](const scoreboard::Slot &slot) {
      return slot.asks.load(std::memory_order_relaxed) != 0;
    });
  }

  void set_asked(bool asked) {
    asked_ = asked;
    slot_.asks.store(asked ? 1 : 0, std::memory_order_release);
  }

  // Waits for a connection that the gateway has accepted, and serves it.
  void ask_gateway() {
    if (!asked_) {
      // Somebody of this tenant has filled the socket: the connections that are not in the gateway yet are
      // ours.
      set_asked(true);  // first: the gateway counts who asks
      if (!handoff_.send(handoff::Ready{})) {
        set_asked(false);
        if (const int fd = accept(); fd >= 0) {
          connection_.adopt(fd);
          serve();
        }
        return;
      }
    }
    pollfd entry{context_.handoff.get(), POLLIN, 0};
    if (::poll(&entry, 1, kGatewayPatience) <= 0) {
      return;  // nothing, or a signal: the flags say what now
    }
    if (take_answer() == Answer::kConnection) serve();
  }

  enum class Answer : std::uint8_t { kNone, kConnection, kOther };

  // The gateway's next message, if there is one; connection_ has adopted what came with it.
  Answer take_answer() {
    auto packet = handoff_.receive();
    if (!packet && packet.error().code == EAGAIN) return Answer::kNone;  // another worker was quicker
    set_asked(false);
    if (!packet || !packet->has_value()) {
      ::usleep(kBrokenPause);  // the gateway's end is gone; the supervisor will start a sandbox with another
      return Answer::kNone;
    }
    std::vector<UniqueFd> &fds = (*packet)->fds;
    const auto message = (*packet)->as<handoff::Connection>();
    if (!message || fds.empty()) return Answer::kOther;
    const int fd = fds.front().release();
    fds.erase(fds.begin());
    if (message->received.empty() && fds.empty()) {
      connection_.adopt(fd);
    } else {
      connection_.adopt(fd, message->received, std::move(fds));
    }
    return Answer::kConnection;
  }

  void serve() {
    while (serve_one() && connection_.await_next(may_wait() ? kKeptTime : kNoTime, context_.listen)) {
    }
  }

  // A worker that waits for the next request of a kept connection is missing where others come: another has
  // to be free, and none to wait.
  [[nodiscard]] bool may_wait() {
    const scoreboard::Board &board = *context_.board;
    return board.busy.load(std::memory_order_relaxed) + 1 < board.workers.load(std::memory_order_relaxed) &&
           context_.page->takeover.load(std::memory_order_relaxed) == 0 && !told_to_end();
  }

  // One request of the connection, and its end. True: the connection is kept.
  bool serve_one() {
    const std::uint64_t start = monotonic_ns();
    begin(start);
    const Connection::Arrival arrival = connection_.read_request();
    unsigned status = 0;
    switch (arrival) {
      case Connection::Arrival::kRequest:
        note_request();
        if (measures_) begin_figures();
        status = responder_->serve(connection_, params_, note_script);
        if (measures_) note_figures(status);
        break;
      case Connection::Arrival::kTooLong:
        note_request();
        status = refuse("431 Request Header Fields Too Large", "The request's header is too long.\n",
                        handoff::Refused::Why::kHeader);
        break;
      case Connection::Arrival::kTooLarge:
        note_request();
        status = refuse("413 Content Too Large", "Content too large.\n", handoff::Refused::Why::kBody);
        break;
      case Connection::Arrival::kBroken:
        log_line("bad request", connection_.problem());
        break;
      case Connection::Arrival::kNothing:
      case Connection::Arrival::kLeft:
        break;
    }
    const bool kept = arrival == Connection::Arrival::kRequest && connection_.is_kept();
    if (!kept) connection_.close();
    end(start, arrival != Connection::Arrival::kLeft, status);
    return kept;
  }

  // Of what the plan does not allow.
  unsigned refuse(std::string_view status, std::string_view body, handoff::Refused::Why why) {
    const unsigned code = answer_plainly(connection_, status, body);
    // Only counted there: where the socket is full, it is not.
    [[maybe_unused]] const auto told = handoff_.send(handoff::Refused{why});
    return code;
  }
  void count_cut() override {
    [[maybe_unused]] const auto told = handoff_.send(handoff::Refused{handoff::Refused::Why::kUnread});
  }

  bool take_slow(BorrowedFd connection, std::string_view received, BorrowedFd file) override {
    const std::array fds{connection, file};
    return tell_gateway(handoff::Slow{std::string(received)}, std::span(fds).first(file.valid() ? 2 : 1));
  }

  bool take_unread(BorrowedFd connection, BorrowedFd file, std::uint64_t offset, bool request_over) override {
    const std::array fds{connection, file};
    return tell_gateway(handoff::Unread{offset, request_over}, std::span(fds).first(file.valid() ? 2 : 1));
  }

  // A handful of long messages fill the socket: the gateway reads them in no time.
  template <typename Message>
  bool tell_gateway(const Message &message, std::span<const BorrowedFd> fds) {
    for (int tries = 0; tries < kGatewayTries; ++tries) {
      const auto sent = handoff_.send(message, fds);
      if (sent) return true;
      if (sent.error().code != EAGAIN) return false;
      pollfd entry{context_.handoff.get(), POLLOUT, 0};
      ::poll(&entry, 1, kGatewayTryTime);
    }
    return false;
  }

  [[nodiscard]] BorrowedFd others() const override { return context_.listen; }
  [[nodiscard]] bool crowded() const override {
    pollfd entry{context_.listen.get(), POLLIN, 0};
    return context_.page->takeover.load(std::memory_order_relaxed) != 0 || ::poll(&entry, 1, 0) > 0;
  }
  [[nodiscard]] std::uint64_t header_limit() const override {
    return context_.page->header_limit.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t body_limit() const override {
    return context_.page->body_limit.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t answer_limit() const override {
    return context_.page->answer_limit.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::chrono::milliseconds send_time() const override {
    // 0: there is no gateway that would have written it.
    const std::uint32_t time = context_.page->send_time_ms.load(std::memory_order_relaxed);
    return time == 0 ? kWritePatience : std::chrono::milliseconds(time);
  }

  void begin(std::uint64_t now) {
    if (now - slot_.since_ns.load(std::memory_order_relaxed) > kGap)
      context_.control->idle_gaps.fetch_add(1, std::memory_order_relaxed);
    slot_.since_ns.store(now, std::memory_order_relaxed);
    slot_.state.store(static_cast<std::uint32_t>(State::kBusy), std::memory_order_release);
    scoreboard::Board &board = *context_.board;
    const std::uint32_t busy = board.busy.fetch_add(1, std::memory_order_relaxed) + 1;
    std::uint32_t most = board.busy_most.load(std::memory_order_relaxed);
    while (busy > most && !board.busy_most.compare_exchange_weak(most, busy, std::memory_order_relaxed)) {
    }
    if (busy >= context_.control->workers_max.load(std::memory_order_relaxed))
      context_.control->raise_alarm(*context_.page, handoff_);
    if (busy >= board.workers.load(std::memory_order_relaxed) &&
        context_.control->growth_wanted.load(std::memory_order_relaxed) != 0 &&
        context_.control->growth_wanted.exchange(0, std::memory_order_relaxed) != 0) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t told = ::write(context_.growth.get(), &one, sizeof one);
    }
  }

  // Method, URI and length, straight from the wire: whether the params are good as a whole is seen later.
  void note_request() {
    std::string_view name;
    std::string_view value;
    std::string_view method;
    std::string_view uri;
    std::uint64_t length = 0;
    fastcgi::ParamsDecoder decoder(connection_.params());
    while (decoder.next(name, value)) {
      if (name == "REQUEST_METHOD") method = value;
      if (name == "REQUEST_URI") uri = value;
      if (name == "CONTENT_LENGTH") std::from_chars(value.data(), value.data() + value.size(), length);
    }
    slot_.content_length.store(length, std::memory_order_relaxed);
    copy_text(slot_.method, method);
    copy_text(slot_.uri, uri);
    slot_.script[0] = '\0';
    // Without the query: everybody on the host can read titles.
    set_title(busy_title_, method, " ", uri.substr(0, uri.find('?')));
  }

  // What the status page and the access log tell of requests; nobody else pays for it.
  void note_figures(unsigned status) {
    const fastcgi::Figures figures = figures_so_far();
    const std::uint64_t taken = figures.ended_ns - figures.begun_ns;
    slot_.last_cpu_ns.store(figures.cpu_ns, std::memory_order_relaxed);
    slot_.last_taken_ns.store(taken, std::memory_order_relaxed);
    slot_.last_memory.store(request_details().memory, std::memory_order_relaxed);
    if (access_log_.is_kept()) {
      const std::time_t begun = std::time(nullptr) - static_cast<std::time_t>(taken / 1'000'000'000);
      access_log_.write(params_, status, begun, figures);
    }
    request_details() = {};
  }

  void end(std::uint64_t start, bool served, unsigned status) {
    const std::uint64_t now = monotonic_ns();
    if (served) ++served_;
    slot_.requests.store(served_, std::memory_order_relaxed);
    slot_.since_ns.store(now, std::memory_order_relaxed);
    slot_.state.store(static_cast<std::uint32_t>(State::kIdle), std::memory_order_release);
    scoreboard::Board &board = *context_.board;
    if (served) {
      board.requests.fetch_add(1, std::memory_order_relaxed);
      board
          .by_class[std::min<std::size_t>(status / 100, scoreboard::kStatusClasses) %
                    scoreboard::kStatusClasses]
          .fetch_add(1, std::memory_order_relaxed);
      board.by_time[latency_bucket(now - start)].fetch_add(1, std::memory_order_relaxed);
      if (connection_.bytes_in() > 0)
        board.bytes_in.fetch_add(connection_.bytes_in(), std::memory_order_relaxed);
      board.bytes_out.fetch_add(connection_.bytes_out(), std::memory_order_relaxed);
    }
    board.request_ns.fetch_add(now - start, std::memory_order_relaxed);
    board.last_end_ns.store(now, std::memory_order_relaxed);
    board.busy.fetch_sub(1, std::memory_order_relaxed);
    set_title(idle_title_);
  }

  const WorkerContext &context_;
  scoreboard::Slot &slot_;
  const std::string idle_title_;
  const std::string busy_title_;
  MessageSocket handoff_{UniqueFd(context_.handoff.get())};
  bool asked_ = false;  // Ready was sent and not answered
  std::uint64_t served_ = 0;
  Connection connection_{context_.handoff.valid() ? this : nullptr};
  Params params_;
  const AccessLog access_log_{*context_.access, context_.pool_name, context_.access_log};
  const bool measures_ = access_log_.is_kept() || !serving().status_path.empty();
  const std::unique_ptr<Responder> responder_ = make_responder(*context_.program);
};

// The signal only ends the wait in accept4(2); what is meant is in the control page.
void wake_up(int) {}

}  // namespace

int run_worker(const WorkerContext &context) {
  struct sigaction action {};
  action.sa_handler = wake_up;  // without SA_RESTART
  ::sigaction(SIGQUIT, &action, nullptr);
  prepare_worker_php();
  obey_interrupts(*context.control, context.slot, context.board->slots[context.slot]);
  Worker worker(context);
  return worker.run();
}

}  // namespace paddock::php_worker
