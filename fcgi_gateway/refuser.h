// Everything about refusing: polls the sockets of tenants that are refused, accepts, answers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/event_loop.h"
#include "fcgi_gateway/figures.h"
#include "fcgi_gateway/refused_connection.h"
#include "fcgi_gateway/tenant_socket.h"

namespace paddock::fcgi_gateway {

// What refusing may cost. What exceeds it waits in the kernel's backlog or is closed.
struct RefuserLimits {
  std::size_t connections = 1024;            // at once, of all tenants
  std::size_t connections_per_tenant = 128;  // at once: one tenant's slow clients leave room for the others'
  std::chrono::milliseconds connection_time{5'000};
  std::uint64_t discard_bytes = 64ULL << 20;  // of one connection
  std::chrono::milliseconds log_interval{1'000};
};

class Refuser {
 public:
  // figures: where what was refused is counted.
  Refuser(EventLoop &loop, const RefuserLimits &limits, Figures &figures);
  ~Refuser();
  Refuser(const Refuser &) = delete;
  Refuser &operator=(const Refuser &) = delete;

  // From now on every connection at `socket` gets `response`; called again, the new one. The socket must live
  // until stop(). Connections that wait already are served too.
  void start(std::uint32_t tenant, const std::string &name, const TenantSocket &socket,
             std::shared_ptr<const Response> response);
  // Accepts nothing more for this tenant. Accepted connections still get their answer.
  void stop(std::uint32_t tenant);

  // Gives one connection, accepted elsewhere, its answer. The caller asks room() first. progress: as
  // RefusedConnection has it.
  void refuse(std::uint32_t tenant, const std::string &name, UniqueFd connection,
              std::shared_ptr<const Response> response,
              std::unique_ptr<fastcgi::RequestAssembler> progress = nullptr);
  // Reads what the peer of an answered request still sends, and closes: who closes before makes the peer's
  // write fail, and a web server then throws the answer away. Counts nothing.
  void drain(std::uint32_t tenant, const std::string &name, UniqueFd connection);
  // How many connections of this tenant can be refused at once now.
  [[nodiscard]] std::size_t room(std::uint32_t tenant) const;

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  struct Site {
    std::string name;
    const TenantSocket *socket = nullptr;  // null once stopped
    std::shared_ptr<const Response> response;
    bool polled = false;
    bool queued = false;  // in for_room_
    std::size_t connections = 0;
    std::uint64_t failed = 0;  // not logged yet
    std::string last_problem;
    unsigned stolen = 0;  // since start()
  };
  struct Connection {
    std::unique_ptr<RefusedConnection> connection;
    std::uint32_t tenant = 0;
    EventLoop::TimerId timer = 0;
    bool writing = false;
  };

  std::size_t room(const Site &site) const;
  bool has_room(const Site &site) const { return room(site) > 0; }
  void poll(std::uint32_t tenant);
  void pause(Site &site);
  void pause_for(std::uint32_t tenant, std::chrono::milliseconds time);
  void give_room();
  void accept(std::uint32_t tenant);
  void admit(std::uint32_t tenant, Site &site, UniqueFd fd, std::shared_ptr<const Response> response,
             std::unique_ptr<fastcgi::RequestAssembler> progress = nullptr);
  void advance(int fd);
  void close(int fd, std::string_view problem);
  void schedule_log();
  void log_failures();

  EventLoop &loop_;
  RefuserLimits limits_;
  Figures &figures_;
  std::unordered_map<std::uint32_t, Site> sites_;
  std::unordered_map<int, Connection> connections_;
  std::deque<std::uint32_t> for_room_;  // tenants whose sockets are not polled until connections end
  EventLoop::TimerId room_timer_ = 0;
  EventLoop::TimerId log_timer_ = 0;
  bool shortage_logged_ = false;  // since the last line about it
};

}  // namespace paddock::fcgi_gateway
