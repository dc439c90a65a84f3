// Supervisor <-> gateway: who listens where, and who wakes whom. Over a MessageSocket.
//
// The gateway holds a duplicate of every tenant's listening socket. In each mode exactly one side accepts:
//   kWatch   nobody runs: the gateway polls the socket; the first connection makes it send Wake, once. The
//   connection
//            stays in the kernel's backlog for the sandbox.
//   kLeased  a sandbox accepts: the gateway does not even poll the socket, and costs the request nothing,
//   until
//            the sandbox says that its last place is taken (Lease).
//   kRefuse  blocked, frozen, or failing to start: the gateway accepts every connection itself and answers
//            `status` with `page` and, where retry_after_s is not 0, a Retry-After header.
// After a restart of the gateway the supervisor sends all of it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace paddock::gateway_link {

// Why a request is refused, besides what a Refusal says: X-Paddock-Reason, and the figures.
namespace reason {
inline constexpr const char *kQueueFull = "queue-full";      // more than the plan's queue wait
inline constexpr const char *kMachineFull = "machine-full";  // all tenants together hold too many
inline constexpr const char *kQueueTime = "queue-time";      // it has waited as long as it may
inline constexpr const char *kSlowClients = "slow-clients";  // more than the plan's do not send
inline constexpr const char *kReceiveTime = "receive-time";  // it did not come in time
inline constexpr const char *kHeaderSize = "header-size";    // its header is too long
inline constexpr const char *kBodySize = "body-size";        // its body is too long
inline constexpr const char *kSpoolFull = "spool-full";      // no room for its body
inline constexpr const char *kUnread = "unread";             // its answer was not read, and has been cut off
}  // namespace reason

enum class Mode : std::uint8_t { kWatch = 1, kLeased = 2, kRefuse = 3 };

// What a refused request gets. `reason` goes into the X-Paddock-Reason header and the log: blocked, frozen,
// starting-failed…
struct Refusal {
  std::uint16_t status = 503;
  std::uint32_t retry_after_s = 0;
  std::string reason;
  std::string page;         // HTML, at most 16 KiB
  bool tell_reason = true;  // in the header

  template <typename Io>
  void fields(Io &io) {
    io(status);
    io(retry_after_s);
    io(reason);
    io(page);
    io(tell_reason);
  }
};

// Supervisor to gateway, one descriptor: the tenant's listening socket.
struct AddTenant {
  static constexpr std::uint8_t kType = 1;
  std::uint32_t tenant = 0;  // the supervisor's number for it, never reused while the gateway runs
  std::string name;
  Mode mode = Mode::kWatch;
  Refusal refusal;  // for kRefuse

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(name);
    io(mode);
    io(refusal);
  }
};

struct SetMode {
  static constexpr std::uint8_t kType = 2;
  std::uint32_t tenant = 0;
  Mode mode = Mode::kWatch;
  Refusal refusal;  // for kRefuse

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(mode);
    io(refusal);
  }
};

struct RemoveTenant {
  static constexpr std::uint8_t kType = 3;
  std::uint32_t tenant = 0;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
  }
};

// The descriptors of a Lease, in this order.
enum LeaseFd : std::size_t {
  kBoard = 0,    // memfd with a scoreboard::Board
  kPage = 1,     // memfd with a handoff::Page, writable
  kHandoff = 2,  // the gateway's end of the handoff MessageSocket
  kLeaseFds = 3,
};

// What the gateway needs to help a sandbox that is full: sent whenever one starts, after SetMode(kLeased),
// and again when the terms have changed. Holds until EndLease or another mode.
struct Lease {
  static constexpr std::uint8_t kType = 4;
  std::uint32_t tenant = 0;
  std::uint16_t workers = 1;
  std::uint32_t queue = 0;          // connections that may wait in the gateway
  std::uint32_t queue_time_ms = 0;  // each of them
  std::uint32_t retry_after_s = 0;  // told to those that are refused
  std::uint32_t slow_clients =
      0;  // connections whose request has not come wholly, or whose answer is not read
  std::uint32_t receive_time_ms = 0;  // how long a request may take to come, see fcgi_gateway/slow_requests.h
  std::uint64_t header_bytes = 0;     // of one request's params; 0: any
  std::uint64_t body_bytes = 0;       // of one request; 0: any
  std::uint64_t spool_bytes = 0;      // of all of the tenant's slow requests in the gateway
  std::uint32_t send_time_ms = 0;     // in which a client has to take a part of its answer
  std::uint64_t unread_bytes = 0;     // of all answers that the gateway holds for clients to take
  bool tell_reason = true;            // as in Refusal
  std::string page;                   // as in Refusal

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(workers);
    io(queue);
    io(queue_time_ms);
    io(retry_after_s);
    io(slow_clients);
    io(receive_time_ms);
    io(header_bytes);
    io(body_bytes);
    io(spool_bytes);
    io(send_time_ms);
    io(unread_bytes);
    io(tell_reason);
    io(page);
  }
};

// The sandbox takes no more connections: it is about to drain. What waits is kept for the next.
struct EndLease {
  static constexpr std::uint8_t kType = 5;
  std::uint32_t tenant = 0;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
  }
};

// All tenants together may hold so many requests, those that run included (fcgi_gateway/machine_cap.h); 0:
// any number, which holds until the first such message.
struct CapRequests {
  static constexpr std::uint8_t kType = 6;
  std::uint32_t most = 0;

  template <typename Io>
  void fields(Io &io) {
    io(most);
  }
};

// Gateway to supervisor: it is ready for AddTenant.
struct Hello {
  static constexpr std::uint8_t kType = 16;
  std::uint32_t pid = 0;

  template <typename Io>
  void fields(Io &io) {
    io(pid);
  }
};

// A connection waits at a socket in mode kWatch. Sent once; the next needs a SetMode(kWatch) before.
struct Wake {
  static constexpr std::uint8_t kType = 17;
  std::uint32_t tenant = 0;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
  }
};

// Requests that the gateway answered itself since the last such message, for the accounting.
struct Refused {
  static constexpr std::uint8_t kType = 18;
  std::uint32_t tenant = 0;
  std::string reason;  // as in X-Paddock-Reason
  std::uint64_t requests = 0;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(reason);
    io(requests);
  }
};

// What the gateway holds for a tenant: when it has changed, at most once a second.
struct Waiting {
  static constexpr std::uint8_t kType = 19;
  std::uint32_t tenant = 0;
  std::uint32_t queue = 0;   // connections that wait for a worker now
  std::uint32_t slow = 0;    // … whose request has not come wholly
  std::uint32_t unread = 0;  // … whose answer is not read
  std::uint64_t queued = 0;  // that have waited for a worker, whatever became of them, since the last message
  std::uint64_t queue_us = 0;  // how long, in all
  // queued, by base/latency_buckets.h, each bucket without those below; none: nothing was queued
  std::vector<std::uint64_t> by_time;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(queue);
    io(slow);
    io(unread);
    io(queued);
    io(queue_us);
    io(by_time);
  }
};

}  // namespace paddock::gateway_link
