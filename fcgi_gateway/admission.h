// What the gateway does for one tenant whose sandbox is full. The states:
//   kOff        the socket is not leased
//   kCalm       workers accept, and say when the last free place is taken. The listening socket is not polled
//   kListening  every place is taken, nothing waits: the listening socket is polled
//   kLooking    something waits: looked at every tick, until nothing does (kCalm, kListening), no request has
//               ended for a while (kTaken), or something was waiting at every look for a while (kTaken, to
//               see how many do; the kernel does not tell)
//   kTaken      the gateway accepts, queues, refuses what is too much, hands a connection to each worker that
//               is free
//   kReturning  it accepts nothing more; once its queue has been served, workers accept again
// While requests keep finishing and no more wait than the plan allows, the gateway accepts a handful of
// connections now and then, and nothing else: a busy, healthy site pays no hop.
//
// In every state a worker may give a connection away whose request does not come (SlowRequests). When that is
// whole, it goes to a worker that is free, past the states; where none is, it is queued and the state is
// kReturning, though the gateway has accepted nothing.
//
// Where all tenants together hold too many of the web server's threads (MachineCap), a share is set: a tenant
// that holds as much is taken over, and stays so until it holds less.
//
// All that the sandbox says (alarm, scoreboard, Ready) may be a lie. It decides which of the tenant's own
// connections are served when; what the gateway holds is bounded by what it counts itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/message_socket.h"
#include "fcgi_gateway/connection_queue.h"
#include "fcgi_gateway/figures.h"
#include "fcgi_gateway/leaving_sandboxes.h"
#include "fcgi_gateway/ledger.h"
#include "fcgi_gateway/machine_cap.h"
#include "fcgi_gateway/refuser.h"
#include "fcgi_gateway/slow_requests.h"
#include "fcgi_gateway/tenant_socket.h"
#include "fcgi_gateway/unread_answers.h"
#include "protocols/handoff/handoff.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::fcgi_gateway {

class Admission final : private CapMember {
 public:
  using Clock = EventLoop::Clock;

  // What the plan allows, and what those get that it does not allow.
  struct Terms {
    std::uint16_t workers = 1;
    std::size_t queue = 0;
    std::chrono::milliseconds queue_time{};
    std::uint64_t header_bytes = 0;  // of one request; 0: any
    std::uint64_t body_bytes = 0;    // of one request; 0: any
    std::uint64_t answer_bytes = 0;  // of one answer, that a worker may put by
    std::chrono::milliseconds send_time{};
    std::shared_ptr<const Response> full;     // where the queue is full
    std::shared_ptr<const Response> crowded;  // where the machine is
    std::shared_ptr<const Response> overdue;  // where queue_time is over
  };
  // What all tenants use.
  struct Shared {
    EventLoop &loop;
    Figures &figures;
    Refuser &refuser;
    SlowRequests &slow;
    UnreadAnswers &unread;
    MachineCap &cap;
    const Ledger &ledger;
  };
  // A sandbox that has the lease.
  struct Sandbox {
    scoreboard::MappedBoard board;
    handoff::MappedPage page;
    MessageSocket handoff;
    LedgerEntry entry;
  };

  // What shared refers to and socket outlive this.
  Admission(const Shared &shared, std::uint32_t tenant, std::string name, const TenantSocket &socket);
  ~Admission();
  Admission(const Admission &) = delete;
  Admission &operator=(const Admission &) = delete;

  // A sandbox accepts from now on, or the terms have changed. What is queued goes to it.
  Result<void> lease(Terms terms, Sandbox sandbox);
  // The sandbox takes nothing more; nobody else accepts yet. The queue waits for the next lease.
  void end_lease();
  // Nobody accepts through this any more: somebody else polls the socket. The queue waits on.
  void suspend();
  // A request that was slow and is whole now, or one of which nothing has been read.
  void add(WaitingRequest request);
  // Gives what is queued `response`.
  void refuse_queue(const std::shared_ptr<const Response> &response);

  [[nodiscard]] bool holds_connections() const { return !queue_.empty(); }
  [[nodiscard]] bool has_sandbox() const { return sandbox_ != nullptr; }

 private:
  enum class State : std::uint8_t { kOff, kCalm, kListening, kLooking, kTaken, kReturning };

  [[nodiscard]] std::uint32_t held() const override;
  void set_share(std::uint32_t most) override;
  [[nodiscard]] bool has_its_share() const { return share_ != kNoShare && held() >= share_; }
  // How many may wait here at most, of so many for which the plan has room.
  [[nodiscard]] std::size_t places(std::size_t of_plan) const;

  void become_calm();
  void listen();
  void look();
  void take_over();
  void begin_return();
  void leave();
  void let_accept();

  void look_again();
  void while_taken();
  void accept_waiting();
  void receive();
  bool take_message();
  bool take_gift(Packet &packet);
  void hand_out();
  bool send_to_worker(WaitingRequest &request);
  void hand_to_idle();
  void refuse(WaitingRequest request, const std::shared_ptr<const Response> &response);
  void trim();
  void tell_queue();

  void tick_after(Clock::duration delay);
  void watch_socket();
  void pause_socket();
  void watch_handoff();
  void pause_handoff();
  // keep_listening: what its workers still give away is taken, until they are gone.
  void drop_sandbox(bool keep_listening);
  [[nodiscard]] std::uint32_t idle_workers() const;
  [[nodiscard]] std::uint32_t asking_workers() const;
  template <typename Predicate>
  [[nodiscard]] std::uint32_t count_slots(Predicate predicate) const;
  [[nodiscard]] bool every_place_taken() const;
  [[nodiscard]] std::uint64_t finished() const;

  EventLoop &loop_;
  Figures &figures_;
  Refuser &refuser_;
  SlowRequests &slow_;
  UnreadAnswers &unread_;
  MachineCap &cap_;
  const Ledger &ledger_;
  const std::uint32_t tenant_;
  const std::string name_;
  const TenantSocket &socket_;
  Terms terms_;
  std::unique_ptr<Sandbox> sandbox_;  // null: nobody to hand anything to
  LeavingSandboxes leaving_;
  ConnectionQueue queue_;
  State state_ = State::kOff;
  std::uint32_t share_ = kNoShare;
  EventLoop::TimerId timer_ = 0;
  EventLoop::TimerId handoff_timer_ = 0;
  bool socket_watched_ = false;
  bool handoff_watched_ = false;

  std::uint64_t finished_seen_ = 0;
  Clock::time_point moved_at_{};    // a request ended, as far as we know
  Clock::time_point since_{};       // of kLooking, kTaken, kReturning
  Clock::time_point refused_at_{};  // the last one
  Clock::time_point accept_again_at_{};
  unsigned stolen_ = 0;  // in a row
  // Workers that have asked and were not answered: never more than the scoreboard shows. Where a worker that
  // had asked takes what another was sent, or dies, the count alone would be too high for good.
  std::uint32_t credits_ = 0;
  std::uint32_t messages_ = 0;  // since handoff_since_
  Clock::time_point handoff_since_{};
  std::uint32_t unasked_ = 0;  // connections handed to workers that had not asked, since unasked_since_
  Clock::time_point unasked_since_{};
};

}  // namespace paddock::fcgi_gateway
