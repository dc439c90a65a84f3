// Supervisor <-> keeper (pid 1 of a sandbox). Over a MessageSocket. What the keeper sends is untrusted: it
// runs as the tenant. If the supervisor's end closes, the keeper drains and ends.
#pragma once

#include <cstdint>
#include <string>

namespace paddock::keeper_link {

// The keeper's exit status where a worker was killed or ended by itself: what all workers share, opcache's
// memory, may be half written. 0: all of them ended as they were told.
inline constexpr int kBrokenOff = 3;

// Supervisor to keeper: accept nothing more, let running requests finish, end. What is unaccepted stays in
// the backlog.
struct Drain {
  static constexpr std::uint8_t kType = 1;
  std::uint32_t patience_ms = 0;  // then the workers are killed

  template <typename Io>
  void fields(Io &io) {
    io(patience_ms);
  }
};

// Changes what a plan can change live.
struct SetLimits {
  static constexpr std::uint8_t kType = 2;
  std::uint16_t workers_max = 0;
  std::uint32_t idle_ms = 0;
  std::uint32_t requests_per_worker = 0;

  template <typename Io>
  void fields(Io &io) {
    io(workers_max);
    io(idle_ms);
    io(requests_per_worker);
  }
};

// Keeper to supervisor: the view stands, the first worker is about to accept.
struct Ready {
  static constexpr std::uint8_t kType = 16;
  std::uint32_t view_us = 0;   // from the clone to the finished view
  std::uint32_t total_us = 0;  // from the clone to now

  template <typename Io>
  void fields(Io &io) {
    io(view_us);
    io(total_us);
  }
};

// The sandbox could not be built; the keeper ends after this.
struct Failed {
  static constexpr std::uint8_t kType = 17;
  std::string step;
  std::int32_t error = 0;

  template <typename Io>
  void fields(Io &io) {
    io(step);
    io(error);
  }
};

// No request for idle_ms: may I go? Sent again each idle_ms; the answer, if any, is Drain.
struct Idle {
  static constexpr std::uint8_t kType = 18;
  std::uint64_t requests = 0;  // answered by this sandbox so far

  template <typename Io>
  void fields(Io &io) {
    io(requests);
  }
};

// A worker ended without having been asked to; the keeper replaces it, with back-off.
struct WorkerDied {
  static constexpr std::uint8_t kType = 19;
  bool signaled = false;
  std::uint8_t code = 0;  // signal or exit status

  template <typename Io>
  void fields(Io &io) {
    io(signaled);
    io(code);
  }
};

}  // namespace paddock::keeper_link
