#include "mail_broker/broker.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"

namespace paddock::mail_broker {
namespace {

// A turn of the loop each; the next connection's, and the supervisor's, come in between.
constexpr int kPacketsPerTurn = 16;
constexpr int kMessagesPerTurn = 64;

bool is_again(const Error &error) {
  return error.code == EAGAIN || error.code == EINTR;
}

// Only the sandbox shows the socket; that it is the tenant who writes costs nothing to see.
bool is_peer(BorrowedFd socket, uid_t uid) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == uid;
}

}  // namespace

Broker::Broker(EventLoop loop, MessageSocket link, BrokerOptions options)
    : loop_(std::move(loop)), link_(std::move(link)), options_(std::move(options)) {}

Broker::~Broker() {
  for (auto place = connections_.begin(); place != connections_.end();) drop(place++);
  for (auto &[number, tenant] : tenants_) close_listener(tenant);
}

Result<std::unique_ptr<Broker>> Broker::create(MessageSocket link, BrokerOptions options) {
  PADDOCK_TRY(EventLoop loop, EventLoop::create());
  std::unique_ptr<Broker> broker(new Broker(std::move(loop), std::move(link), std::move(options)));
  Broker &self = *broker;
  PADDOCK_CHECK(self.loop_.watch(self.link_.fd(), EPOLLIN, [&self](std::uint32_t) { self.read_link(); }));
  // It blocks where it must: the supervisor always reads, and what is sent is bounded by what it has
  // answered.
  PADDOCK_CHECK(self.link_.send(mail_link::Hello{static_cast<std::uint32_t>(::getpid())}));
  return broker;
}

Result<void> Broker::run() {
  while (!ended_) {
    PADDOCK_CHECK(loop_.run_once(EventLoop::Clock::duration(-1)));
    accept_where_there_is_room();
  }
  return *ended_;
}

template <typename Message>
void Broker::tell(const Message &message, std::span<const BorrowedFd> fds) {
  if (ended_) return;
  if (auto sent = link_.send(message, fds); !sent) ended_ = std::move(sent).error();
}

void Broker::read_link() {
  auto packet = link_.receive();
  if (!packet) {
    if (!is_again(packet.error())) ended_ = std::move(packet).error();
    return;
  }
  if (!packet->has_value()) {
    ended_ = Result<void>();
    return;
  }
  if (auto taken = take(std::move(**packet)); !taken) ended_ = std::move(taken).error();
}

Result<void> Broker::take(Packet packet) {
  switch (packet.type()) {
    case mail_link::OpenTenant::kType: {
      PADDOCK_TRY(const auto message, packet.as<mail_link::OpenTenant>());
      if (packet.fds.size() != 1) return Error{"OpenTenant without its one descriptor"};
      return open(message, std::move(packet.fds.front()));
    }
    case mail_link::CloseTenant::kType: {
      PADDOCK_TRY(const auto message, packet.as<mail_link::CloseTenant>());
      const auto found = tenants_.find(message.tenant);
      if (found == tenants_.end()) return Error{"CloseTenant for one that is not known"};
      close_listener(found->second);
      if (found->second.connections == 0) tenants_.erase(found);
      return {};
    }
    case mail_link::Delivered::kType: {
      PADDOCK_TRY(const auto message, packet.as<mail_link::Delivered>());
      delivered(message);
      return {};
    }
    default:
      return Error{"a message of type " + std::to_string(packet.type()) + " is not for the mail broker"};
  }
}

Result<void> Broker::open(const mail_link::OpenTenant &message, UniqueFd listener) {
  Tenant &tenant = tenants_[message.tenant];
  close_listener(tenant);
  tenant.name = message.name;
  tenant.uid = message.uid;
  tenant.terms = {message.name, message.message_bytes, message.recipients, message.any_sender};
  const int flags = ::fcntl(listener.get(), F_GETFL);
  if (flags < 0 || ::fcntl(listener.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return errno_error("take the socket of " + message.name);
  tenant.listener = std::move(listener);
  return {};
}

void Broker::close_listener(Tenant &tenant) {
  if (tenant.accepting) loop_.unwatch(tenant.listener);
  tenant.accepting = false;
  tenant.listener.reset();
}

// Only where a connection could be taken is a socket watched: what waits elsewhere must not keep the loop
// turning.
void Broker::accept_where_there_is_room() {
  const bool any = connections_.size() < options_.connections;
  for (auto &[number, tenant] : tenants_) {
    const bool room = any && tenant.listener.valid() && tenant.connections < options_.connections_per_tenant;
    if (room == tenant.accepting) continue;
    if (!room) {
      loop_.unwatch(tenant.listener);
      tenant.accepting = false;
      continue;
    }
    const auto watched = loop_.watch(
        tenant.listener, EPOLLIN,
        [this, number = number, &tenant = tenant](std::uint32_t) { accept_from(number, tenant); });
    tenant.accepting = watched.ok();
    if (!watched) log::error(tenant.name + ": " + watched.error().message());
  }
}

void Broker::accept_from(std::uint32_t number, Tenant &tenant) {
  if (connections_.size() >= options_.connections || tenant.connections >= options_.connections_per_tenant)
    return;
  UniqueFd socket(::accept4(tenant.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) {
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
    // Shut down, or out of descriptors: not to be tried again at once, for ever.
    log::error(tenant.name + ": accept mail: " + errno_error("accept4").message());
    return close_listener(tenant);
  }
  if (!is_peer(socket, tenant.uid))
    return log::warning(tenant.name + ": somebody else was at its mail socket");
  add(number, tenant, std::move(socket));
}

void Broker::add(std::uint32_t number, Tenant &tenant, UniqueFd socket) {
  auto file = new_file();
  const auto place = connections_.emplace(connections_.end());
  ++tenant.connections;
  place->tenant = number;
  place->socket = MessageSocket(std::move(socket));
  if (!file) {
    log::error(file.error().message());
    return refuse(place, {mail::Status::kRefused, "the mail broker has no room"});
  }
  place->submission.emplace(tenant.terms, std::move(*file));
  const auto watched =
      loop_.watch(place->socket.fd(), EPOLLIN, [this, place](std::uint32_t) { read(place); });
  if (!watched) return drop(place);
  place->silence = loop_.after(options_.silence, [this, place] { drop(place); });
  place->patience = loop_.after(options_.patience, [this, place] { drop(place); });
}

Result<UniqueFd> Broker::new_file() const {
  if (options_.spool.valid()) {
    UniqueFd fd(::openat(options_.spool.get(), ".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600));
    if (fd.valid()) return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
      return errno_error("make a file for a message");
  }
  UniqueFd fd(::memfd_create("paddock-mail", MFD_CLOEXEC));
  if (!fd.valid()) return errno_error("memfd_create for a message");
  return fd;
}

void Broker::read(Place place) {
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const auto packet = place->socket.receive();
    if (!packet && is_again(packet.error())) break;
    // Gone, or what it sends is no message.
    if (!packet || !packet->has_value() || place->delivery != 0) return drop(place);
    const std::uint64_t before = place->submission->received();
    const auto progress = place->submission->take(**packet);
    spooled_ += place->submission->received() - before;
    if (const auto *refusal = std::get_if<Submission::Refusal>(&progress)) return refuse(place, *refusal);
    if (spooled_ > options_.spool_bytes)
      return refuse(place, {mail::Status::kRefused, "too much mail is on its way"});
    if (std::get<bool>(progress)) return deliver(place);
  }
  loop_.cancel(place->silence);
  place->silence = loop_.after(options_.silence, [this, place] { drop(place); });
}

void Broker::deliver(Place place) {
  // From here on it waits for the MTA. That it goes away changes nothing for the message.
  loop_.cancel(place->silence);
  loop_.cancel(place->patience);
  loop_.unwatch(place->socket.fd());
  place->delivery = next_delivery_++;
  const BorrowedFd file = place->submission->file();
  tell(mail_link::Deliver{place->delivery, place->tenant, place->submission->sender(),
                          place->submission->recipients()},
       std::span(&file, 1));
}

void Broker::delivered(const mail_link::Delivered &message) {
  const auto place =
      std::find_if(connections_.begin(), connections_.end(),
                   [&](const Connection &connection) { return connection.delivery == message.delivery; });
  if (place == connections_.end() || message.delivery == 0) return;
  answer(place, message.sent ? mail::Status::kSent : mail::Status::kRefused, message.text);
}

void Broker::refuse(Place place, const Submission::Refusal &refusal) {
  tell(mail_link::Refused{place->tenant, refusal.text});
  answer(place, refusal.status, refusal.text);
}

void Broker::answer(Place place, mail::Status status, const std::string &text) {
  // It has gone, or does not read the only packet that it gets: its loss.
  if (const auto sent = place->socket.send(mail::Answer{status, text}); !sent)
    log::debug("answer to a sandbox: " + sent.error().message());
  drop(place);
}

void Broker::drop(Place place) {
  loop_.cancel(place->silence);
  loop_.cancel(place->patience);
  loop_.unwatch(place->socket.fd());
  if (place->submission) spooled_ -= place->submission->received();
  const auto tenant = tenants_.find(place->tenant);
  connections_.erase(place);
  if (tenant == tenants_.end()) return;
  --tenant->second.connections;
  if (tenant->second.connections == 0 && !tenant->second.listener.valid()) tenants_.erase(tenant);
}

}  // namespace paddock::mail_broker
