// Answers that their clients do not read: a worker gives the gateway what is left of one, and the gateway
// writes it out as slowly as the client takes it. What a tenant's may cost is bounded by its plan; what is
// more, or does not move, is cut off.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "fcgi_gateway/figures.h"
#include "fcgi_gateway/ledger.h"
#include "fcgi_gateway/refuser.h"

namespace paddock::fcgi_gateway {

// A tenant's, at once.
struct UnreadTerms {
  std::size_t connections = 0;
  std::uint64_t bytes = 0;           // not sent yet, of all
  std::chrono::milliseconds time{};  // in which a client has to take anything
};

class UnreadAnswers {
 public:
  using Clock = EventLoop::Clock;

  // Bytes a second, on the average since the hand-over, that a client has to take once its time is over.
  static constexpr std::uint64_t kLeastRate = 500;

  // most: connections at once, of all tenants.
  UnreadAnswers(EventLoop &loop, Figures &figures, Refuser &refuser, const Ledger &ledger, std::size_t most)
      : loop_(loop), figures_(figures), refuser_(refuser), ledger_(ledger), most_(most) {}
  ~UnreadAnswers();
  UnreadAnswers(const UnreadAnswers &) = delete;
  UnreadAnswers &operator=(const UnreadAnswers &) = delete;

  void set_terms(std::uint32_t tenant, const std::string &name, const UnreadTerms &terms);
  // What `answer` holds from `offset` on is still to be sent; then the connection is closed, after the rest
  // of the request has been read, unless request_over. All of it may be anything: it comes from a sandbox.
  // Ignored where the tenant has no terms.
  // SIGPIPE is ignored (sendfile(2)).
  void send(std::uint32_t tenant, UniqueFd connection, UniqueFd answer, std::uint64_t offset,
            bool request_over);
  // The same of what a gateway before held, for a tenant that may have no terms yet.
  void inherit(std::uint32_t tenant, const std::string &name, UniqueFd connection, UniqueFd answer,
               std::uint64_t offset, bool request_over);
  // Closes all of a tenant's, and forgets its terms.
  void drop(std::uint32_t tenant);

  [[nodiscard]] std::size_t connections() const { return answers_.size(); }

 private:
  struct Site {
    std::string name;
    UnreadTerms terms;
    std::size_t connections = 0;
    std::uint64_t bytes = 0;
  };
  struct Answer {
    std::uint32_t tenant = 0;
    UniqueFd connection;
    UniqueFd file;
    std::uint64_t begin = 0;
    off_t own_at = 0;  // where no ledger has it
    std::uint64_t end = 0;
    bool request_over = false;
    Clock::time_point since = Clock::now();
    Clock::time_point moved_at = since;
    EventLoop::TimerId timer = 0;
    LedgerEntry entry;  // goes before the descriptors do

    [[nodiscard]] off_t *position() { return entry.offset() != nullptr ? entry.offset() : &own_at; }
    [[nodiscard]] std::uint64_t at() { return static_cast<std::uint64_t>(*position()); }
  };

  void advance(int fd);
  void look_at_time(int fd);
  void cut(int fd);
  Answer take(int fd);

  EventLoop &loop_;
  Figures &figures_;
  Refuser &refuser_;
  const Ledger &ledger_;
  const std::size_t most_;
  std::unordered_map<std::uint32_t, Site> sites_;
  std::unordered_map<int, Answer> answers_;
};

}  // namespace paddock::fcgi_gateway
