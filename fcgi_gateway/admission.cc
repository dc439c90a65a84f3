#include "fcgi_gateway/admission.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"

namespace paddock::fcgi_gateway {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 25ms;
// No request has ended for so long, and something waits: the gateway takes over.
constexpr auto kStalled = 100ms;
// Something waited at every look for so long: how many are there?
constexpr auto kCrowded = 500ms;
// The gateway gives the socket back when for so long nothing had to be refused and the queue moved.
constexpr auto kQuiet = 250ms;
constexpr auto kShortWait = 100ms;
// A queue that is to be served before the socket goes back and is not, in that time, is a queue again.
constexpr auto kReturnPatience = 250ms;

constexpr std::size_t kAcceptsPerTurn = 64;
// Other accepters, in the same terms as Refuser's.
constexpr auto kFirstStolenPause = 20ms;
constexpr auto kLongestStolenPause = 1'000ms;
// A worker has at most one question open. Whoever sends more than so many is not listened to for the rest of
// the interval, which is short: an honest sandbox with very many short requests may be among them.
constexpr int kMessagesPerTurn = 64;
constexpr std::uint32_t kMessagesPerInterval = 2'000;
constexpr auto kMessageInterval = 50ms;
// In that time a worker that was handed a connection shows it on the scoreboard.
constexpr auto kPickUp = 10ms;

bool has_input(BorrowedFd connection) {
  pollfd entry{connection.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

// Of a value that a sandbox sent: any.
const char *reason_of(handoff::Refused::Why why) {
  switch (why) {
    case handoff::Refused::Why::kHeader:
      return gateway_link::reason::kHeaderSize;
    case handoff::Refused::Why::kUnread:
      return gateway_link::reason::kUnread;
    case handoff::Refused::Why::kBody:
      break;
  }
  return gateway_link::reason::kBodySize;
}

bool same_file(BorrowedFd one, BorrowedFd other) {
  struct stat first {};
  struct stat second {};
  return ::fstat(one.get(), &first) == 0 && ::fstat(other.get(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

Admission::Admission(const Shared &shared, std::uint32_t tenant, std::string name, const TenantSocket &socket)
    : loop_(shared.loop),
      figures_(shared.figures),
      refuser_(shared.refuser),
      slow_(shared.slow),
      unread_(shared.unread),
      cap_(shared.cap),
      ledger_(shared.ledger),
      tenant_(tenant),
      name_(std::move(name)),
      socket_(socket),
      leaving_(loop_, [this](Packet &packet) { return take_gift(packet) || packet.fds.empty(); }),
      queue_(loop_, figures_, tenant,
             [this](WaitingRequest request) { refuse(std::move(request), terms_.overdue); }) {}

Admission::~Admission() {
  suspend();
}

Result<void> Admission::lease(Terms terms, Sandbox sandbox) {
  PADDOCK_CHECK(sandbox.handoff.set_nonblocking(true));
  // The same sandbox under other terms: another duplicate of the same socket.
  if (sandbox_ && same_file(sandbox_->handoff.fd(), sandbox.handoff.fd())) drop_sandbox(false);
  suspend();
  terms_ = std::move(terms);
  sandbox_ = std::make_unique<Sandbox>(std::move(sandbox));
  sandbox_->entry = LedgerEntry(ledger_, sandbox_->handoff.fd(), name_);
  sandbox_->entry.is_sandbox();
  queue_.set_patience(terms_.queue_time);
  sandbox_->page->header_limit.store(terms_.header_bytes, std::memory_order_relaxed);
  sandbox_->page->body_limit.store(terms_.body_bytes, std::memory_order_relaxed);
  sandbox_->page->answer_limit.store(terms_.answer_bytes, std::memory_order_relaxed);
  sandbox_->page->queue_limit.store(static_cast<std::uint32_t>(terms_.queue), std::memory_order_relaxed);
  tell_queue();
  sandbox_->page->send_time_ms.store(static_cast<std::uint32_t>(terms_.send_time.count()),
                                     std::memory_order_relaxed);
  if (sandbox_->page->takeover.load(std::memory_order_relaxed) != 0) {
    // A gateway before us had taken over; who waits for its answer, only it knew. An answer too many is read
    // by a worker that then asks again.
    sandbox_->page->takeover.store(0, std::memory_order_release);
    for (std::uint16_t i = 0; i < terms_.workers; ++i)
      [[maybe_unused]] const auto sent = sandbox_->handoff.send(handoff::Resume{});
  }
  watch_handoff();
  if (queue_.empty()) {
    become_calm();
  } else {
    take_over();
  }
  cap_.add(*this);
  return {};
}

void Admission::end_lease() {
  if (state_ == State::kOff) return;
  drop_sandbox(true);
  if (state_ == State::kTaken) return;
  if (state_ == State::kReturning) return take_over();
  look();
}

void Admission::suspend() {
  cap_.remove(*this);
  drop_sandbox(true);
  pause_socket();
  loop_.cancel(timer_);
  timer_ = 0;
  state_ = State::kOff;
}

void Admission::drop_sandbox(bool keep_listening) {
  pause_handoff();
  loop_.cancel(handoff_timer_);
  handoff_timer_ = 0;
  if (!sandbox_) return;
  let_accept();
  if (keep_listening) leaving_.add(std::move(sandbox_->handoff), std::move(sandbox_->entry));
  sandbox_.reset();
}

void Admission::refuse_queue(const std::shared_ptr<const Response> &response) {
  while (!queue_.empty()) refuse(queue_.pop_front(), response);
}

// --- against all tenants together

std::uint32_t Admission::held() const {
  // What a sandbox says to be running is never more than its plan has workers.
  const std::uint32_t busy = sandbox_ ? sandbox_->board->busy.load(std::memory_order_relaxed) : 0;
  return std::min<std::uint32_t>(busy, terms_.workers) + figures_.held(tenant_);
}

void Admission::set_share(std::uint32_t most) {
  share_ = most;
  if (!has_its_share()) return;
  if (state_ == State::kCalm || state_ == State::kListening || state_ == State::kLooking) take_over();
  trim();
}

std::size_t Admission::places(std::size_t of_plan) const {
  if (share_ == kNoShare) return of_plan;
  const std::size_t elsewhere = held() - std::min<std::size_t>(held(), queue_.size());
  return std::min<std::size_t>(of_plan, share_ - std::min<std::size_t>(share_, elsewhere));
}

// --- what the scoreboard says

template <typename Predicate>
std::uint32_t Admission::count_slots(Predicate predicate) const {
  // A slot is reused only when its process is gone, so that retiring workers push the newest up by as many.
  const std::uint32_t most = std::min<std::uint32_t>(terms_.workers * 2U, scoreboard::kMaxWorkers);
  const auto *slots = sandbox_->board->slots;
  return static_cast<std::uint32_t>(std::count_if(slots, slots + most, predicate));
}

std::uint32_t Admission::idle_workers() const {
  return count_slots([](const scoreboard::Slot &slot) {
    return slot.state.load(std::memory_order_acquire) == static_cast<std::uint32_t>(scoreboard::State::kIdle);
  });
}

std::uint32_t Admission::asking_workers() const {
  return count_slots(
      [](const scoreboard::Slot &slot) { return slot.asks.load(std::memory_order_acquire) != 0; });
}

bool Admission::every_place_taken() const {
  return sandbox_ && sandbox_->board->busy.load(std::memory_order_relaxed) >= terms_.workers &&
         idle_workers() == 0;
}

std::uint64_t Admission::finished() const {
  return sandbox_ ? sandbox_->board->requests.load(std::memory_order_relaxed) : 0;
}

// --- while the workers accept

void Admission::become_calm() {
  state_ = State::kCalm;
  pause_socket();
  sandbox_->page->alarm.fetch_add(1, std::memory_order_release);
  // Whoever took the last place before that has not said so.
  if (every_place_taken()) listen();
}

void Admission::listen() {
  state_ = State::kListening;
  watch_socket();
}

void Admission::look() {
  state_ = State::kLooking;
  pause_socket();
  since_ = moved_at_ = Clock::now();
  finished_seen_ = finished();
  tick_after(kTick);
}

void Admission::look_again() {
  if (!socket_.has_waiting()) {
    if (!sandbox_) return tick_after(kTick);
    return every_place_taken() ? listen() : become_calm();
  }
  const auto now = Clock::now();
  if (const std::uint64_t seen = finished(); seen != finished_seen_) {
    finished_seen_ = seen;
    moved_at_ = now;
  }
  if (now - moved_at_ >= kStalled) return take_over();
  if (now - since_ < kCrowded) return tick_after(kTick);
  take_over();
  // Only to see how many wait: the moment that they fit, they go back.
  if (state_ == State::kTaken && queue_.size() <= terms_.queue && sandbox_ && !has_its_share())
    begin_return();
}

// --- while the gateway accepts

void Admission::take_over() {
  state_ = State::kTaken;
  if (sandbox_) {
    sandbox_->page->takeovers.fetch_add(1, std::memory_order_relaxed);
    sandbox_->page->takeover.store(1, std::memory_order_release);
  }
  since_ = Clock::now();
  stolen_ = 0;
  accept_again_at_ = since_;
  tick_after(kTick);
  watch_socket();
  accept_waiting();
}

void Admission::accept_waiting() {
  // Workers that are about to be free make room for as many: refused is what is still too much at the tick.
  const std::size_t of_plan = terms_.queue + terms_.workers;
  const std::size_t most = places(of_plan);
  const std::size_t room = most - std::min(most, queue_.size()) + refuser_.room(tenant_);
  if (room == 0) return pause_socket();
  Accepted accepted = socket_.accept_waiting(std::min(room, kAcceptsPerTurn));
  for (UniqueFd &connection : accepted.connections) {
    // Who says nothing takes no place from those who want something.
    if (!has_input(connection)) {
      slow_.collect(tenant_, std::move(connection), {}, {});
      continue;
    }
    WaitingRequest request;
    request.connection = std::move(connection);
    request.entry = LedgerEntry(ledger_, request.connection, name_);
    request.entry.is_request(Ledger::kNoFiles);
    if (queue_.size() < most) {
      queue_.push(std::move(request));
    } else {
      refuse(std::move(request), most < of_plan ? terms_.crowded : terms_.full);
    }
  }
  switch (accepted.end) {
    case AcceptEnd::kEmpty:
      stolen_ = 0;
      break;
    case AcceptEnd::kMost:
      break;
    case AcceptEnd::kStolen: {
      const auto pause = kFirstStolenPause * (1U << std::min(stolen_++, 8U));
      accept_again_at_ = Clock::now() + std::min<Clock::duration>(pause, kLongestStolenPause);
      pause_socket();
      break;
    }
    case AcceptEnd::kShortage:
    case AcceptEnd::kShutDown:
      accept_again_at_ = Clock::now() + kLongestStolenPause;
      pause_socket();
      break;
  }
  tell_queue();
  hand_out();
}

void Admission::tell_queue() {
  if (!sandbox_) return;
  const auto size = static_cast<std::uint32_t>(queue_.size());
  handoff::Page &page = *sandbox_->page.get();
  page.queue.store(size, std::memory_order_relaxed);
  if (size > page.queue_most.load(std::memory_order_relaxed))
    page.queue_most.store(size, std::memory_order_relaxed);
}

void Admission::trim() {
  // The youngest go: who came first is served first.
  while (queue_.size() > terms_.queue) refuse(queue_.pop_back(), terms_.full);
  while (queue_.size() > places(terms_.queue)) refuse(queue_.pop_back(), terms_.crowded);
}

void Admission::refuse(WaitingRequest request, const std::shared_ptr<const Response> &response) {
  refused_at_ = Clock::now();
  request.entry.reset();
  tell_queue();
  refuser_.refuse(tenant_, name_, std::move(request.connection), response, std::move(request.progress));
}

void Admission::add(WaitingRequest request) {
  queue_.push(std::move(request));
  tell_queue();
  if (!sandbox_) return;
  if (state_ == State::kTaken || state_ == State::kReturning) return hand_out();
  // Workers accept: a free one is handed this, and no more than there are free ones.
  hand_to_idle();
  if (queue_.empty()) return;
  // All are busy: whoever ends next asks for this one, and the socket stays the workers'. Only if none ends
  // is it taken over (kReturnPatience).
  sandbox_->page->takeover.store(1, std::memory_order_release);
  begin_return();
}

bool Admission::send_to_worker(WaitingRequest &request) {
  std::vector<BorrowedFd> fds{request.connection};
  for (const UniqueFd &part : request.parts) fds.emplace_back(part);
  request.entry.take_out();
  // A full buffer is full of what no worker reads; the tick tries again.
  if (!sandbox_->handoff.send(handoff::Connection{request.received}, fds)) {
    request.entry.keep();
    return false;
  }
  sandbox_->page->handed.fetch_add(1, std::memory_order_release);
  return true;
}

// To workers that have not asked: whether they have taken what they were handed, only the scoreboard tells,
// and that a little late.
void Admission::hand_to_idle() {
  const auto now = Clock::now();
  if (now - unasked_since_ >= kPickUp) {
    unasked_since_ = now;
    unasked_ = 0;
  }
  for (const std::uint32_t idle = idle_workers(); unasked_ + credits_ < idle && !queue_.empty(); ++unasked_) {
    if (!send_to_worker(queue_.front())) return;
    [[maybe_unused]] const WaitingRequest sent = queue_.pop_front();
    tell_queue();
  }
}

void Admission::hand_out() {
  if (!sandbox_) return;
  for (credits_ = std::min(credits_, asking_workers()); credits_ > 0 && !queue_.empty(); --credits_) {
    if (!send_to_worker(queue_.front())) break;
    [[maybe_unused]] const WaitingRequest sent = queue_.pop_front();
    tell_queue();
  }
  if (state_ == State::kReturning && queue_.empty()) leave();
}

void Admission::while_taken() {
  trim();
  hand_out();
  // Those that were free when the socket was taken over are in accept(2) still.
  if (sandbox_) hand_to_idle();
  if (state_ != State::kTaken && state_ != State::kReturning) return;
  const auto now = Clock::now();
  if (state_ == State::kReturning) {
    if (now - since_ >= kReturnPatience) return take_over();
    return tick_after(kTick);
  }
  if (const std::uint64_t seen = finished(); seen != finished_seen_) {
    finished_seen_ = seen;
    moved_at_ = now;
  }
  const bool moving = sandbox_ && (credits_ > 0 || now - moved_at_ < kQuiet);
  const bool quiet =
      now - since_ >= kQuiet && now - refused_at_ >= kQuiet && queue_.longest_wait() < kShortWait;
  if (moving && quiet && !has_its_share()) return begin_return();
  if (now >= accept_again_at_) watch_socket();
  tick_after(kTick);
}

void Admission::begin_return() {
  state_ = State::kReturning;
  since_ = Clock::now();
  pause_socket();
  tick_after(kTick);
  hand_out();
}

void Admission::leave() {
  let_accept();
  look();
}

void Admission::let_accept() {
  sandbox_->page->takeover.store(0, std::memory_order_release);
  for (credits_ = std::min(credits_, asking_workers()); credits_ > 0; --credits_)
    [[maybe_unused]] const auto sent = sandbox_->handoff.send(handoff::Resume{});
}

void Admission::receive() {
  const auto now = Clock::now();
  if (now - handoff_since_ >= kMessageInterval) {
    handoff_since_ = now;
    messages_ = 0;
  }
  for (int i = 0; i < kMessagesPerTurn && take_message(); ++i)
    if (++messages_ > kMessagesPerInterval) {
      pause_handoff();
      handoff_timer_ = loop_.after(kMessageInterval, [this] {
        handoff_timer_ = 0;
        watch_handoff();
      });
      break;
    }
  if (state_ == State::kTaken || state_ == State::kReturning) hand_out();
}

// False: there is none, or there will be none any more.
bool Admission::take_message() {
  auto packet = sandbox_->handoff.receive();
  if (!packet && packet.error().code == EAGAIN) return false;
  if (packet && packet->has_value() && (*packet)->as<handoff::Ready>()) {
    moved_at_ = Clock::now();
    if (state_ == State::kTaken || state_ == State::kReturning) {
      credits_ = std::min(credits_ + 1, asking_workers());
    } else {
      [[maybe_unused]] const auto sent = sandbox_->handoff.send(handoff::Resume{});
    }
    return true;
  }
  if (packet && packet->has_value() && (*packet)->as<handoff::Full>()) {
    if (state_ == State::kCalm) look();
    return true;
  }
  if (packet && packet->has_value() && take_gift(**packet)) return true;
  // All of its processes are gone, or it talks nonsense: nothing more can be handed to it.
  pause_handoff();
  return false;
}

// What a worker gives away, or tells of: also one whose sandbox has no lease any more.
bool Admission::take_gift(Packet &packet) {
  if (const auto refused = packet.as<handoff::Refused>()) {
    figures_.refused(tenant_, reason_of(refused->why));
    return true;
  }
  std::vector<UniqueFd> &fds = packet.fds;
  if (auto slow = packet.as<handoff::Slow>(); slow && (fds.size() == 1 || fds.size() == 2)) {
    UniqueFd part = fds.size() == 2 ? std::move(fds[1]) : UniqueFd();
    slow_.collect(tenant_, std::move(fds[handoff::kConnectionFd]), std::move(slow->received),
                  std::move(part));
    return true;
  }
  const auto unread = packet.as<handoff::Unread>();
  if (unread && fds.size() == 1) {
    refuser_.drain(tenant_, name_, std::move(fds[handoff::kConnectionFd]));
    return true;
  }
  if (unread && fds.size() == 2) {
    unread_.send(tenant_, std::move(fds[handoff::kConnectionFd]), std::move(fds[1]), unread->offset,
                 unread->request_over);
    return true;
  }
  return false;
}

// --- polling

void Admission::tick_after(Clock::duration delay) {
  loop_.cancel(timer_);
  timer_ = loop_.after(delay, [this] {
    timer_ = 0;
    if (state_ == State::kLooking) return look_again();
    if (state_ == State::kTaken || state_ == State::kReturning) while_taken();
  });
}

void Admission::watch_socket() {
  if (socket_watched_) return;
  const auto watched = loop_.watch(socket_.fd(), EPOLLIN, [this](std::uint32_t) {
    if (state_ == State::kTaken) return accept_waiting();
    look();
  });
  socket_watched_ = watched.ok();
  if (!watched)
    log::error("poll the socket of tenant " + log::quoted(name_) + ": " + watched.error().message());
}

void Admission::pause_socket() {
  if (socket_watched_) loop_.unwatch(socket_.fd());
  socket_watched_ = false;
}

void Admission::watch_handoff() {
  if (handoff_watched_ || !sandbox_) return;
  handoff_watched_ = loop_.watch(sandbox_->handoff.fd(), EPOLLIN, [this](std::uint32_t) { receive(); }).ok();
}

void Admission::pause_handoff() {
  if (handoff_watched_) loop_.unwatch(sandbox_->handoff.fd());
  handoff_watched_ = false;
}

}  // namespace paddock::fcgi_gateway
