#include "php_worker/worker.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "base/message_socket.h"
#include "php_worker/connection.h"
#include "php_worker/params.h"
#include "php_worker/sapi.h"
#include "php_worker/title.h"
#include "php_worker/vm_interrupt.h"
#include "protocols/fastcgi/params.h"

namespace paddock::php_worker {
namespace {

using scoreboard::State;

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

template <std::size_t N>
void copy_text(char (&to)[N], std::string_view text) {
  const std::size_t size = std::min(text.size(), N - 1);
  if (size > 0) std::memcpy(to, text.data(), size);  // a param that is not there has no data() at all
  to[size] = '\0';
}

// A worker that waits for the gateway looks so often whether it still has to, milliseconds: a gateway that
// was started anew does not know who had asked the one before.
constexpr int kGatewayPatience = 1'000;
constexpr unsigned kBrokenPause = 50'000;  // microseconds

scoreboard::Slot *own_slot = nullptr;

void note_script(const char *path) {
  copy_text(own_slot->script, path);
}

class Worker {
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
      // A plain load: a warm request pays nothing for the gateway's being there.
      const bool ask = context_.page->takeover.load(std::memory_order_relaxed) != 0;
      const int fd = ask ? ask_gateway() : accept();
      if (fd < 0) continue;
      serve(fd);
    }
    // What was handed over between our question and the order to end is answered.
    if (asked_)
      if (const int fd = take_answer(); fd >= 0) serve(fd);
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

  // A connection that the gateway had accepted; -1 as above.
  int ask_gateway() {
    if (!asked_) {
      // Somebody of this tenant has filled the socket: the connections that are not in the gateway yet are
      // ours.
      if (!handoff_.send(handoff::Ready{})) return accept();
      asked_ = true;
    }
    pollfd entry{context_.handoff.get(), POLLIN, 0};
    if (::poll(&entry, 1, kGatewayPatience) <= 0) {
      // Nothing, or a signal: the flags say what now. If the gateway has given the socket back and its answer
      // was lost, nobody will read it.
      if (context_.page->takeover.load(std::memory_order_relaxed) == 0) asked_ = false;
      return -1;
    }
    return take_answer();
  }

  int take_answer() {
    auto packet = handoff_.receive();
    if (!packet && packet.error().code == EAGAIN) return -1;  // another worker was quicker
    asked_ = false;
    if (!packet || !packet->has_value()) {
      ::usleep(kBrokenPause);  // the gateway's end is gone; the supervisor will start a sandbox with another
      return -1;
    }
    if ((*packet)->as<handoff::Connection>() && (*packet)->fds.size() == 1)
      return (*packet)->fds.front().release();
    return -1;
  }

  void serve(int fd) {
    const std::uint64_t start = monotonic_ns();
    begin(start);
    connection_.adopt(fd);
    switch (connection_.read_request()) {
      case Connection::Arrival::kRequest:
        note_request();
        serve_request(connection_, params_, note_script);
        break;
      case Connection::Arrival::kBroken:
        log_line("bad request", connection_.problem());
        break;
      case Connection::Arrival::kNothing:
        break;
    }
    connection_.close();
    end(start);
  }

  void begin(std::uint64_t now) {
    slot_.since_ns.store(now, std::memory_order_relaxed);
    slot_.state.store(static_cast<std::uint32_t>(State::kBusy), std::memory_order_release);
    scoreboard::Board &board = *context_.board;
    const std::uint32_t busy = board.busy.fetch_add(1, std::memory_order_relaxed) + 1;
    if (busy >= context_.control->workers_max.load(std::memory_order_relaxed))
      context_.control->raise_alarm(*context_.page, handoff_);
    if (busy >= board.workers.load(std::memory_order_relaxed) &&
        context_.control->growth_wanted.load(std::memory_order_relaxed) != 0 &&
        context_.control->growth_wanted.exchange(0, std::memory_order_relaxed) != 0) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t told = ::write(context_.growth.get(), &one, sizeof one);
    }
  }

  // Method and URI, straight from the wire: whether the params are good as a whole is seen later.
  void note_request() {
    std::string_view name;
    std::string_view value;
    std::string_view method;
    std::string_view uri;
    fastcgi::ParamsDecoder decoder(connection_.params());
    while (decoder.next(name, value)) {
      if (name == "REQUEST_METHOD") method = value;
      if (name == "REQUEST_URI") uri = value;
    }
    copy_text(slot_.method, method);
    copy_text(slot_.uri, uri);
    slot_.script[0] = '\0';
    // Without the query: everybody on the host can read titles.
    set_title(busy_title_, method, " ", uri.substr(0, uri.find('?')));
  }

  void end(std::uint64_t start) {
    const std::uint64_t now = monotonic_ns();
    ++served_;
    slot_.requests.store(served_, std::memory_order_relaxed);
    slot_.since_ns.store(now, std::memory_order_relaxed);
    slot_.state.store(static_cast<std::uint32_t>(State::kIdle), std::memory_order_release);
    scoreboard::Board &board = *context_.board;
    board.requests.fetch_add(1, std::memory_order_relaxed);
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
  Connection connection_;
  Params params_;
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
