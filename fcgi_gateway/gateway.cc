#include "fcgi_gateway/gateway.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "base/log.h"
#include "fcgi_gateway/foreign_fd.h"
#include "fcgi_gateway/refusal.h"
#include "protocols/gateway_link/inheritance.h"

namespace paddock::fcgi_gateway {
namespace {

constexpr int kInheritedPerTurn = 64;
// In which the tenant of what was inherited has to have a sandbox.
constexpr auto kUnclaimedTime = std::chrono::seconds(60);

}  // namespace

using gateway_link::Mode;

Gateway::Gateway(EventLoop loop, MessageSocket link, GatewayOptions options, Ledger ledger)
    : loop_(std::move(loop)),
      inheritance_(std::move(options.inheritance)),
      ledger_(std::move(ledger)),
      link_(loop_, std::move(link)),
      figures_(loop_, options.report_interval,
               {[this](const gateway_link::Refused &refused) { return tell(refused); },
                [this](const gateway_link::Waiting &waiting) { return tell(waiting); }}),
      reports_(loop_),
      refuser_(loop_, options.refusing, figures_),
      slow_(loop_, figures_, refuser_, ledger_, std::move(options.spool), options.slow_requests,
            [this](std::uint32_t tenant, WaitingRequest request) { whole(tenant, std::move(request)); }),
      unread_(loop_, figures_, refuser_, ledger_, options.unread_answers),
      cap_(loop_) {}

Gateway::~Gateway() {
  for (auto &[number, tenant] : tenants_) leave_mode(number, tenant);
}

Result<std::unique_ptr<Gateway>> Gateway::create(MessageSocket link, GatewayOptions options) {
  PADDOCK_CHECK(install_accept_timeout());
  PADDOCK_TRY(EventLoop loop, EventLoop::create());
  UniqueFd reports = std::move(options.reports);
  Ledger ledger;
  if (options.inheritance) {
    PADDOCK_TRY(ledger, Ledger::create(options.descriptors));
  }
  std::unique_ptr<Gateway> gateway(
      new Gateway(std::move(loop), std::move(link), std::move(options), std::move(ledger)));
  Gateway &self = *gateway;
  PADDOCK_CHECK(self.link_.start([&self](Packet packet) { return self.receive(std::move(packet)); },
                                 [&self](Result<void> how) {
                                   self.ended_ = std::move(how);
                                   self.loop_.stop();
                                 }));
  if (reports.valid()) PADDOCK_CHECK(self.read_reports(std::move(reports)));
  if (self.inheritance_) PADDOCK_CHECK(self.read_inheritance());
  self.link_.send(gateway_link::Hello{static_cast<std::uint32_t>(::getpid())});
  return gateway;
}

Result<void> Gateway::read_reports(UniqueFd socket) {
  return reports_.start(std::move(socket),
                        [this](const std::string &name, const std::string &reason, std::uint32_t requests) {
                          const auto found = numbers_.find(name);
                          if (found != numbers_.end()) figures_.refused(found->second, reason, requests);
                        });
}

Result<void> Gateway::run() {
  while (!ended_) PADDOCK_CHECK(loop_.run_once(EventLoop::Clock::duration(-1)));
  return *ended_;
}

Result<void> Gateway::receive(Packet packet) {
  switch (packet.type()) {
    case gateway_link::AddTenant::kType: {
      PADDOCK_TRY(const auto message, packet.as<gateway_link::AddTenant>());
      if (packet.fds.size() != 1)
        return Error{"AddTenant with " + std::to_string(packet.fds.size()) + " descriptors, not 1"};
      return add(message, std::move(packet.fds.front()));
    }
    case gateway_link::SetMode::kType: {
      PADDOCK_TRY(const auto message, packet.as<gateway_link::SetMode>());
      PADDOCK_TRY(Tenant *const tenant, find(message.tenant, "SetMode"));
      PADDOCK_CHECK(set_mode(message.tenant, *tenant, message.mode, message.refusal));
      claim(message.tenant, *tenant);
      return {};
    }
    case gateway_link::Lease::kType: {
      PADDOCK_TRY(const auto message, packet.as<gateway_link::Lease>());
      return lease(message, std::move(packet.fds));
    }
    case gateway_link::EndLease::kType: {
      PADDOCK_TRY(const auto message, packet.as<gateway_link::EndLease>());
      PADDOCK_TRY(const Tenant *const tenant, find(message.tenant, "EndLease"));
      if (tenant->admission) tenant->admission->end_lease();
      return {};
    }
    case gateway_link::CapRequests::kType: {
      PADDOCK_TRY(const auto message, packet.as<gateway_link::CapRequests>());
      cap_.set_most(message.most);
      return {};
    }
    case gateway_link::RemoveTenant::kType: {
      PADDOCK_TRY(const auto message, packet.as<gateway_link::RemoveTenant>());
      return remove(message.tenant);
    }
    default:
      return Error{"a message of type " + std::to_string(packet.type()) + " is not for the gateway"};
  }
}

Result<void> Gateway::add(const gateway_link::AddTenant &message, UniqueFd fd) {
  PADDOCK_TRY(TenantSocket socket, TenantSocket::adopt(std::move(fd)));
  const auto [at, fresh] = tenants_.try_emplace(message.tenant);
  if (!fresh)
    return Error{"AddTenant for tenant " + std::to_string(message.tenant) + ", which was added before"};
  at->second.name = message.name;
  numbers_[message.name] = message.tenant;
  at->second.socket = std::move(socket);
  PADDOCK_CHECK(set_mode(message.tenant, at->second, message.mode, message.refusal));
  claim(message.tenant, at->second);
  return {};
}

void Gateway::leave_mode(std::uint32_t number, Tenant &tenant) {
  if (tenant.polled) loop_.unwatch(tenant.socket.fd());
  tenant.polled = false;
  if (tenant.mode == Mode::kRefuse) refuser_.stop(number);
  if (tenant.admission) tenant.admission->suspend();
  tenant.refusal.reset();
}

Result<Gateway::Tenant *> Gateway::find(std::uint32_t number, const char *message) {
  const auto found = tenants_.find(number);
  if (found == tenants_.end())
    return Error{std::string(message) + " for tenant " + std::to_string(number) + ", which was not added"};
  return &found->second;
}

Result<void> Gateway::lease(const gateway_link::Lease &message, std::vector<UniqueFd> fds) {
  PADDOCK_TRY(Tenant *const tenant, find(message.tenant, "Lease"));
  if (fds.size() != gateway_link::kLeaseFds)
    return Error{"Lease with " + std::to_string(fds.size()) + " descriptors, not " +
                 std::to_string(gateway_link::kLeaseFds)};
  if (tenant->mode != Mode::kLeased)
    return Error{"Lease for tenant " + std::to_string(message.tenant) + " in another mode"};
  Admission::Terms terms;
  terms.workers = message.workers;
  terms.queue = message.queue;
  terms.queue_time = std::chrono::milliseconds(message.queue_time_ms);
  terms.header_bytes = message.header_bytes;
  terms.body_bytes = message.body_bytes;
  SlowTerms slow;
  slow.connections = message.slow_clients;
  slow.time = std::chrono::milliseconds(message.receive_time_ms);
  slow.header_bytes = message.header_bytes;
  slow.body_bytes = message.body_bytes;
  slow.spool_bytes = message.spool_bytes;
  const auto response = [&](std::uint16_t status, const char *reason) {
    const std::uint32_t retry = status == 503 ? message.retry_after_s : 0;
    return shared_response({status, retry, reason, message.page, message.tell_reason});
  };
  PADDOCK_TRY(terms.full, response(503, gateway_link::reason::kQueueFull));
  PADDOCK_TRY(terms.crowded, response(503, gateway_link::reason::kMachineFull));
  PADDOCK_TRY(terms.overdue, response(503, gateway_link::reason::kQueueTime));
  PADDOCK_TRY(slow.too_many, response(503, gateway_link::reason::kSlowClients));
  PADDOCK_TRY(slow.too_late, response(408, gateway_link::reason::kReceiveTime));
  PADDOCK_TRY(slow.too_long, response(431, gateway_link::reason::kHeaderSize));
  PADDOCK_TRY(slow.too_large, response(413, gateway_link::reason::kBodySize));
  PADDOCK_TRY(slow.no_space, response(503, gateway_link::reason::kSpoolFull));
  slow_.set_terms(message.tenant, tenant->name, std::move(slow));
  // Workers, the most that put answers by at once, hold no more together than the gateway does.
  terms.answer_bytes = message.unread_bytes / std::max<std::uint64_t>(message.workers, 4);
  terms.send_time = std::chrono::milliseconds(message.send_time_ms);
  unread_.set_terms(message.tenant, tenant->name,
                    {message.slow_clients, message.unread_bytes, terms.send_time});
  Admission::Sandbox sandbox;
  PADDOCK_TRY(sandbox.board, scoreboard::MappedBoard::map(fds[gateway_link::kBoard], false));
  PADDOCK_TRY(sandbox.page, handoff::MappedPage::map(fds[gateway_link::kPage], true));
  sandbox.handoff = MessageSocket(std::move(fds[gateway_link::kHandoff]));
  if (!tenant->admission)
    tenant->admission = std::make_unique<Admission>(
        Admission::Shared{loop_, figures_, refuser_, slow_, unread_, cap_, ledger_}, message.tenant,
        tenant->name, tenant->socket);
  PADDOCK_CHECK(tenant->admission->lease(std::move(terms), std::move(sandbox)));
  claim(message.tenant, *tenant);
  return {};
}

Result<void> Gateway::set_mode(std::uint32_t number, Tenant &tenant, Mode mode,
                               const gateway_link::Refusal &refusal) {
  switch (mode) {
    case Mode::kWatch:
      leave_mode(number, tenant);
      tenant.mode = mode;
      // What was queued when the last sandbox ended wants another.
      if (tenant.admission && tenant.admission->holds_connections()) {
        link_.send(gateway_link::Wake{number});
        return {};
      }
      PADDOCK_CHECK(
          loop_.watch(tenant.socket.fd(), EPOLLIN, [this, number](std::uint32_t) { wake(number); }));
      tenant.polled = true;
      return {};
    case Mode::kLeased:
      leave_mode(number, tenant);
      tenant.mode = mode;
      return {};
    case Mode::kRefuse: {
      PADDOCK_TRY(auto response, shared_response(refusal));
      leave_mode(number, tenant);
      tenant.mode = mode;
      tenant.refusal = response;
      if (tenant.admission) tenant.admission->refuse_queue(response);
      refuser_.start(number, tenant.name, tenant.socket, std::move(response));
      return {};
    }
  }
  return Error{"mode " + std::to_string(static_cast<unsigned>(mode)) + " for tenant " +
               std::to_string(number) + " does not exist"};
}

Result<void> Gateway::remove(std::uint32_t number) {
  PADDOCK_TRY(Tenant *const tenant, find(number, "RemoveTenant"));
  leave_mode(number, *tenant);
  slow_.drop(number);
  unread_.drop(number);
  // Its name may have been given to another before it was removed.
  if (const auto named = numbers_.find(tenant->name); named != numbers_.end() && named->second == number)
    numbers_.erase(named);
  tenants_.erase(number);
  figures_.forget(number);
  return {};
}

void Gateway::wake(std::uint32_t number) {
  Tenant &tenant = tenants_.at(number);
  // The connection stays in the backlog: polling on would only say so again and again.
  loop_.unwatch(tenant.socket.fd());
  tenant.polled = false;
  if (tenant.socket.is_shut_down()) {
    log::error("the socket of tenant " + log::quoted(tenant.name) +
               " was shut down: nothing can connect to it");
    return;
  }
  link_.send(gateway_link::Wake{number});
}

// Slow requests belong to no mode: what became whole in which goes where others of that mode go.
void Gateway::whole(std::uint32_t number, WaitingRequest request) {
  Tenant &tenant = tenants_.at(number);
  if (tenant.refusal)
    return refuser_.refuse(number, tenant.name, std::move(request.connection), tenant.refusal,
                           std::move(request.progress));
  if (!tenant.admission) return;  // only who had a lease has slow requests
  tenant.admission->add(std::move(request));
  if (tenant.polled) wake(number);
}

// --- what a gateway before has left

Result<void> Gateway::read_inheritance() {
  PADDOCK_CHECK(inheritance_->out.set_nonblocking(true));
  PADDOCK_CHECK(loop_.watch(inheritance_->out.fd(), EPOLLIN, [this](std::uint32_t) { receive_inherited(); }));
  guardian_.emplace(loop_, ledger_, *inheritance_);
  return guardian_->start();
}

void Gateway::receive_inherited() {
  for (int i = 0; i < kInheritedPerTurn; ++i) {
    auto packet = inheritance_->out.receive();
    if (!packet && packet.error().code == EAGAIN) return;
    if (!packet && packet.error().code == EBADMSG) continue;
    if (!packet || !packet->has_value()) {
      log::error("the inheritance is broken: what this gateway holds ends with it");
      return loop_.unwatch(inheritance_->out.fd());
    }
    const auto request = (*packet)->as<gateway_link::HeldRequest>();
    const auto answer = (*packet)->as<gateway_link::HeldAnswer>();
    if (!request && !answer) continue;
    const std::string name = request ? request->tenant : answer->tenant;
    std::vector<Packet> &of_tenant = unclaimed_[name];
    of_tenant.push_back(std::move(**packet));
    if (const auto known = numbers_.find(name); known != numbers_.end())
      claim(known->second, tenants_.at(known->second));
    if (unclaimed_timer_ == 0)
      unclaimed_timer_ = loop_.after(kUnclaimedTime, [this] {
        unclaimed_timer_ = 0;
        unclaimed_.clear();
      });
  }
}

void Gateway::claim(std::uint32_t number, Tenant &tenant) {
  const auto found = unclaimed_.find(tenant.name);
  if (found == unclaimed_.end()) return;
  std::erase_if(found->second, [&](Packet &packet) { return deliver(number, tenant, packet); });
  if (found->second.empty()) {
    unclaimed_.erase(found);
  } else if (tenant.polled) {
    wake(number);
  }
}

// False: it waits for the tenant's next sandbox.
bool Gateway::deliver(std::uint32_t number, Tenant &tenant, Packet &packet) {
  std::vector<UniqueFd> &fds = packet.fds;
  if (const auto answer = packet.as<gateway_link::HeldAnswer>(); answer) {
    if (fds.size() == 2)
      unread_.inherit(number, tenant.name, std::move(fds[0]), std::move(fds[1]), answer->offset,
                      answer->request_over);
    return true;
  }
  if (fds.empty() || !is_unix_stream(fds.front())) return true;
  const bool untouched = fds.size() == 1;
  if (tenant.refusal) {
    // Of another, somebody has read the part that tells whom to answer.
    if (untouched) refuser_.refuse(number, tenant.name, std::move(fds.front()), tenant.refusal);
    return true;
  }
  if (tenant.mode != Mode::kLeased || !tenant.admission || !tenant.admission->has_sandbox()) return false;
  if (untouched) {
    WaitingRequest request;
    request.connection = std::move(fds.front());
    request.entry = LedgerEntry(ledger_, request.connection, tenant.name);
    request.entry.is_request(Ledger::kNoFiles);
    tenant.admission->add(std::move(request));
  } else {
    UniqueFd connection = std::move(fds.front());
    fds.erase(fds.begin());
    slow_.inherit(number, std::move(connection), std::move(fds));
  }
  return true;
}

Result<std::shared_ptr<const Response>> Gateway::shared_response(const gateway_link::Refusal &refusal) {
  PADDOCK_TRY(Response response, refusal_response(refusal));
  std::weak_ptr<const Response> &known =
      responses_[std::hash<std::string>{}(response.text) ^ std::hash<std::string>{}(response.reason)];
  if (const auto same = known.lock(); same && *same == response) return same;
  auto fresh = std::make_shared<const Response>(std::move(response));
  known = fresh;
  std::erase_if(responses_, [](const auto &entry) { return entry.second.expired(); });
  return std::shared_ptr<const Response>(std::move(fresh));
}

}  // namespace paddock::fcgi_gateway
