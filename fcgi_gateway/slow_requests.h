// Requests that are slow to come: half-sent ones, byte by byte, stalled uploads, connections on which nothing
// comes. A worker gives them to the gateway, which collects each and gives it on when it is whole, so that
// they hold no worker. What a tenant's may cost is bounded by its plan; what is more, is refused. Those that
// have said nothing yet make room for new ones.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "fcgi_gateway/figures.h"
#include "fcgi_gateway/ledger.h"
#include "fcgi_gateway/refuser.h"
#include "fcgi_gateway/spool.h"
#include "fcgi_gateway/waiting_request.h"

namespace paddock::fcgi_gateway {

// A tenant's, at once.
struct SlowTerms {
  std::size_t connections = 0;
  // From the hand-over on. Bytes that came earn more time, at kLeastRate: a long upload may take long.
  std::chrono::milliseconds time{};
  std::uint64_t header_bytes = 0;  // of one request; 0: any
  std::uint64_t body_bytes = 0;    // of one request; 0: any
  std::uint64_t spool_bytes = 0;   // in files, of all
  std::shared_ptr<const Response> too_many;
  std::shared_ptr<const Response> too_late;
  std::shared_ptr<const Response> too_long;
  std::shared_ptr<const Response> too_large;
  std::shared_ptr<const Response> no_space;
};

class SlowRequests {
 public:
  using Clock = EventLoop::Clock;
  // Takes a request that is whole.
  using Whole = std::function<void(std::uint32_t tenant, WaitingRequest request)>;

  // Bytes a second that earn a request its time.
  static constexpr std::uint64_t kLeastRate = 500;

  // most: connections at once, of all tenants.
  SlowRequests(EventLoop &loop, Figures &figures, Refuser &refuser, const Ledger &ledger, Spool spool,
               std::size_t most, Whole whole);
  ~SlowRequests();
  SlowRequests(const SlowRequests &) = delete;
  SlowRequests &operator=(const SlowRequests &) = delete;

  void set_terms(std::uint32_t tenant, const std::string &name, SlowTerms terms);
  // received: what has come so far, followed by what part (invalid: none) holds. Both may be anything, and
  // the connection any descriptor: they come from a sandbox. Ignored where the tenant has no terms.
  void collect(std::uint32_t tenant, UniqueFd connection, std::string received, UniqueFd part);
  // The same of what a gateway before held: all that came is in `parts`.
  void inherit(std::uint32_t tenant, UniqueFd connection, std::vector<UniqueFd> parts);
  // Closes all of a tenant's, and forgets its terms.
  void drop(std::uint32_t tenant);

  [[nodiscard]] std::size_t connections() const { return requests_.size(); }

 private:
  struct Site {
    std::string name;
    SlowTerms terms;
    std::size_t connections = 0;
    std::list<int> silent;  // of which nothing has come; the oldest first
    std::shared_ptr<std::uint64_t> spooled = std::make_shared<std::uint64_t>(0);
  };
  struct Request;
  enum class Outcome : std::uint8_t { kMore, kWhole, kClose, kTooLong, kTooLarge, kNoSpace };

  void take_in(Site &site, std::unique_ptr<Request> request);
  bool make_room(Site &site);
  void no_longer_silent(Request &request);
  void begin(int fd);
  void continue_part(int fd);
  void advance(int fd);
  void enter(Request &request);
  bool enter_received(Request &request, std::string_view bytes);
  Outcome keep(Request &request, const Site &site, std::span<const std::uint8_t> bytes);
  Outcome understand(Request &request, const Site &site, std::span<const std::uint8_t> bytes);
  void conclude(int fd, Outcome outcome);
  void look_at_time(int fd);
  std::unique_ptr<Request> take(int fd);
  void refuse(std::unique_ptr<Request> request, const std::shared_ptr<const Response> &response);

  EventLoop &loop_;
  Figures &figures_;
  Refuser &refuser_;
  const Ledger &ledger_;
  const Spool spool_;
  const std::size_t most_;
  const Whole whole_;
  std::unordered_map<std::uint32_t, Site> sites_;
  std::unordered_map<int, std::unique_ptr<Request>> requests_;
};

}  // namespace paddock::fcgi_gateway
