#include "fcgi_gateway/refuser.h"

#include <sys/epoll.h>

#include <algorithm>

#include "base/log.h"

namespace paddock::fcgi_gateway {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAcceptsPerTurn = 16;
constexpr auto kRoomRetry = 100ms;
constexpr auto kShortagePause = 100ms;
// Workers that are about to be killed may take a connection more; whoever goes on taking them costs the
// gateway the patience of one accept(2) (tenant_socket.cc) a pause: 1 % of its time at the longest.
constexpr auto kFirstStolenPause = 20ms;
constexpr auto kLongestStolenPause = 1'000ms;

}  // namespace

Refuser::Refuser(EventLoop &loop, const RefuserLimits &limits, Figures &figures)
    : loop_(loop), limits_(limits), figures_(figures) {}

Refuser::~Refuser() {
  while (!connections_.empty()) close(connections_.begin()->first, {});
  for (auto &[tenant, site] : sites_) pause(site);
  loop_.cancel(room_timer_);
  loop_.cancel(log_timer_);
}

void Refuser::start(std::uint32_t tenant, const std::string &name, const TenantSocket &socket,
                    std::shared_ptr<const Response> response) {
  Site &site = sites_[tenant];
  pause(site);
  site.name = name;
  site.socket = &socket;
  site.stolen = 0;
  site.response = std::move(response);
  poll(tenant);
}

void Refuser::stop(std::uint32_t tenant) {
  const auto found = sites_.find(tenant);
  if (found == sites_.end()) return;
  pause(found->second);
  found->second.socket = nullptr;
  found->second.response.reset();
  // The last figures are due before whatever comes next of this tenant.
  figures_.report();
  schedule_log();
}

void Refuser::refuse(std::uint32_t tenant, const std::string &name, UniqueFd connection,
                     std::shared_ptr<const Response> response,
                     std::unique_ptr<fastcgi::RequestAssembler> progress) {
  Site &site = sites_[tenant];
  site.name = name;
  admit(tenant, site, std::move(connection), std::move(response), std::move(progress));
}

void Refuser::drain(std::uint32_t tenant, const std::string &name, UniqueFd connection) {
  if (room(tenant) > 0) refuse(tenant, name, std::move(connection), nullptr);
}

std::size_t Refuser::room(const Site &site) const {
  return std::min(
      limits_.connections - std::min(limits_.connections, connections_.size()),
      limits_.connections_per_tenant - std::min(limits_.connections_per_tenant, site.connections));
}

std::size_t Refuser::room(std::uint32_t tenant) const {
  const auto found = sites_.find(tenant);
  return found == sites_.end() ? room(Site{}) : room(found->second);
}

void Refuser::poll(std::uint32_t tenant) {
  const auto found = sites_.find(tenant);
  if (found == sites_.end()) return;
  Site &site = found->second;
  if (site.socket == nullptr || site.polled || site.queued) return;
  if (!has_room(site)) {
    site.queued = true;
    for_room_.push_back(tenant);
    // Connections that end make room; the timer is for the case that every one of them did before.
    if (room_timer_ == 0)
      room_timer_ = loop_.after(kRoomRetry, [this] {
        room_timer_ = 0;
        give_room();
      });
    return;
  }
  if (const auto watched =
          loop_.watch(site.socket->fd(), EPOLLIN, [this, tenant](std::uint32_t) { accept(tenant); });
      !watched) {
    log::error("poll the socket of tenant " + log::quoted(site.name) + ": " + watched.error().message());
    pause_for(tenant, kShortagePause);
    return;
  }
  site.polled = true;
}

void Refuser::pause(Site &site) {
  if (site.polled) loop_.unwatch(site.socket->fd());
  site.polled = false;
}

void Refuser::pause_for(std::uint32_t tenant, std::chrono::milliseconds time) {
  pause(sites_.at(tenant));
  loop_.after(time, [this, tenant] { poll(tenant); });
}

void Refuser::give_room() {
  std::size_t room = limits_.connections - std::min(limits_.connections, connections_.size());
  for (std::size_t looked = for_room_.size(); looked > 0 && room > 0; --looked) {
    const std::uint32_t tenant = for_room_.front();
    for_room_.pop_front();
    const auto found = sites_.find(tenant);
    if (found == sites_.end()) continue;
    found->second.queued = false;
    poll(tenant);  // queues it again where its own share is used up
    if (found->second.polled) --room;
  }
  if (!for_room_.empty() && room_timer_ == 0)
    room_timer_ = loop_.after(kRoomRetry, [this] {
      room_timer_ = 0;
      give_room();
    });
}

void Refuser::accept(std::uint32_t tenant) {
  Site &site = sites_.at(tenant);
  const std::size_t most = std::min(kAcceptsPerTurn, room(site));
  if (most > 0) {
    Accepted accepted = site.socket->accept_waiting(most);
    for (UniqueFd &fd : accepted.connections) admit(tenant, site, std::move(fd), site.response);
    switch (accepted.end) {
      case AcceptEnd::kEmpty:
      case AcceptEnd::kMost:
        break;
      case AcceptEnd::kStolen: {
        if (site.stolen == 0)
          log::warning("another process accepts the connections of tenant " + log::quoted(site.name) +
                       ", who is refused");
        const auto pause = kFirstStolenPause * (1U << std::min(site.stolen++, 8U));
        return pause_for(tenant, std::min<std::chrono::milliseconds>(pause, kLongestStolenPause));
      }
      case AcceptEnd::kShortage:
        if (!shortage_logged_)
          log::warning("no descriptors or memory left to refuse connections with, of tenant " +
                       log::quoted(site.name) + " among others");
        shortage_logged_ = true;
        schedule_log();
        return pause_for(tenant, kShortagePause);
      case AcceptEnd::kShutDown:
        log::error("the socket of tenant " + log::quoted(site.name) +
                   " was shut down: nothing can connect to it");
        return pause(site);
    }
  }
  if (!has_room(site)) {
    pause(site);
    poll(tenant);  // into the queue
  }
}

void Refuser::admit(std::uint32_t tenant, Site &site, UniqueFd fd, std::shared_ptr<const Response> response,
                    std::unique_ptr<fastcgi::RequestAssembler> progress) {
  const int number = fd.get();
  const BorrowedFd borrowed = fd;
  Connection entry;
  entry.connection = std::make_unique<RefusedConnection>(std::move(fd), std::move(response),
                                                         limits_.discard_bytes, std::move(progress));
  entry.tenant = tenant;
  if (!loop_.watch(borrowed, EPOLLIN, [this, number](std::uint32_t) { advance(number); })) return;
  entry.timer =
      loop_.after(limits_.connection_time, [this, number] { close(number, "the client took too long"); });
  connections_.emplace(number, std::move(entry));
  ++site.connections;
  // Nearly always the request has come along with the connection: no need to ask epoll first.
  advance(number);
}

void Refuser::advance(int fd) {
  Connection &entry = connections_.at(fd);
  const RefusedConnection::Wants wants = entry.connection->advance();
  if (wants == RefusedConnection::Wants::kClose) return close(fd, entry.connection->problem());
  const bool writing = wants == RefusedConnection::Wants::kWrite;
  if (writing == entry.writing) return;
  entry.writing = writing;
  if (!loop_.change(entry.connection->fd(), writing ? EPOLLIN | EPOLLOUT : EPOLLIN))
    close(fd, "epoll failed");
}

void Refuser::close(int fd, std::string_view problem) {
  const auto found = connections_.find(fd);
  Connection entry = std::move(found->second);
  connections_.erase(found);
  loop_.cancel(entry.timer);
  loop_.unwatch(entry.connection->fd());
  Site &site = sites_.at(entry.tenant);
  --site.connections;
  if (entry.connection->answered()) {
    if (entry.connection->response() != nullptr)
      figures_.refused(entry.tenant, entry.connection->response()->reason);
  } else if (!problem.empty()) {
    ++site.failed;
    site.last_problem = problem;
  }
  schedule_log();
  if (!for_room_.empty()) give_room();
}

void Refuser::schedule_log() {
  if (log_timer_ == 0)
    log_timer_ = loop_.after(limits_.log_interval, [this] {
      log_timer_ = 0;
      log_failures();
    });
}

// A line a tenant and interval: whoever hammers at a socket must not be able to fill the disk with the log of
// it.
void Refuser::log_failures() {
  shortage_logged_ = false;
  for (auto at = sites_.begin(); at != sites_.end();) {
    Site &site = at->second;
    if (site.failed > 0)
      log::warning("refusing tenant " + log::quoted(site.name) + ": " + std::to_string(site.failed) +
                   " connections closed unanswered, the last because " + site.last_problem);
    site.failed = 0;
    const bool over = site.socket == nullptr && site.connections == 0 && !site.queued;
    at = over ? sites_.erase(at) : std::next(at);
  }
}

}  // namespace paddock::fcgi_gateway
