#include "fcgi_gateway/slow_requests.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "fcgi_gateway/foreign_fd.h"
#include "protocols/fastcgi/params.h"
#include "protocols/handoff/handoff.h"

namespace paddock::fcgi_gateway {
namespace {

using namespace std::chrono_literals;
using Event = fastcgi::RequestAssembler::Event;

constexpr std::size_t kReadSize = std::size_t{64} * 1024;
constexpr int kReadsPerTurn = 8;

// As RefusedConnection has it: Apache sends at most 100 fields of 8 KiB.
fastcgi::Limits request_limits() {
  fastcgi::Limits limits;
  limits.params_bytes = std::size_t{1} << 20;
  return limits;
}

// One buffer for all connections: nothing that was read outlives a turn.
std::span<std::uint8_t> read_buffer() {
  static std::array<std::uint8_t, kReadSize> buffer;
  return buffer;
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t *>(text.data()), text.size()};
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

}  // namespace

struct SlowRequests::Request {
  std::uint32_t tenant = 0;
  WaitingRequest kept;
  // The sizes of the parts that somebody else has filled, and how far they have been looked through.
  std::vector<std::uint64_t> part_sizes;
  std::size_t part = 0;
  std::uint64_t part_read = 0;
  UniqueFd file;  // ours, after those
  std::uint64_t size = 0;
  std::uint64_t body = 0;
  std::int64_t announced = 0;  // the body's length, -1 where it is not told
  Clock::time_point since = Clock::now();
  EventLoop::TimerId timer = 0;
  EventLoop::TimerId turn = 0;
  bool watched = false;
  std::optional<std::list<int>::iterator> silent;  // in the site's list
};

SlowRequests::SlowRequests(EventLoop &loop, Figures &figures, Refuser &refuser, const Ledger &ledger,
                           Spool spool, std::size_t most, Whole whole)
    : loop_(loop),
      figures_(figures),
      refuser_(refuser),
      ledger_(ledger),
      spool_(std::move(spool)),
      most_(most),
      whole_(std::move(whole)) {}

SlowRequests::~SlowRequests() {
  while (!requests_.empty()) take(requests_.begin()->first);
}

void SlowRequests::set_terms(std::uint32_t tenant, const std::string &name, SlowTerms terms) {
  Site &site = sites_[tenant];
  site.name = name;
  site.terms = std::move(terms);
}

void SlowRequests::drop(std::uint32_t tenant) {
  if (sites_.find(tenant) == sites_.end()) return;
  for (auto at = requests_.begin(); at != requests_.end();) {
    const int fd = at->first;
    const bool own = at->second->tenant == tenant;
    ++at;
    if (own) take(fd);
  }
  sites_.erase(tenant);
}

void SlowRequests::collect(std::uint32_t tenant, UniqueFd connection, std::string received, UniqueFd part) {
  const auto found = sites_.find(tenant);
  if (found == sites_.end()) return;
  if (!is_unix_stream(connection) || received.size() > handoff::kMaxReceived) return;
  auto request = std::make_unique<Request>();
  request->tenant = tenant;
  request->kept.connection = std::move(connection);
  request->kept.received = std::move(received);
  if (part.valid()) {
    const auto size = handoff::sealed_size(part);
    if (!size) return;
    request->part_sizes.push_back(*size);
    request->kept.parts.push_back(std::move(part));
  }
  take_in(found->second, std::move(request));
}

void SlowRequests::inherit(std::uint32_t tenant, UniqueFd connection, std::vector<UniqueFd> parts) {
  const auto found = sites_.find(tenant);
  if (found == sites_.end() || !is_unix_stream(connection)) return;
  auto request = std::make_unique<Request>();
  request->tenant = tenant;
  request->kept.connection = std::move(connection);
  for (const UniqueFd &part : parts) {
    struct stat status {};
    if (::fstat(part.get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
    request->part_sizes.push_back(static_cast<std::uint64_t>(status.st_size));
  }
  request->kept.parts = std::move(parts);
  take_in(found->second, std::move(request));
}

void SlowRequests::take_in(Site &site, std::unique_ptr<Request> request) {
  const std::uint32_t tenant = request->tenant;
  request->kept.progress = std::make_unique<fastcgi::RequestAssembler>(request_limits());
  request->kept.share = SpoolShare(site.spooled);
  request->kept.entry = LedgerEntry(ledger_, request->kept.connection, site.name);
  if (!enter_received(*request, request->kept.received)) return;
  enter(*request);
  const int fd = request->kept.connection.get();
  const bool room = make_room(site);
  ++site.connections;
  figures_.hold(tenant, Figures::Held::kSlow, 1);
  requests_[fd] = std::move(request);
  if (!room) {
    // Who can be answered is.
    Request &entry = *requests_.at(fd);
    understand(entry, site, bytes_of(entry.kept.received));
    return refuse(take(fd), site.terms.too_many);
  }
  begin(fd);
}

// What the ledger says of it, when that has changed.
void SlowRequests::enter(Request &request) {
  Ledger::Files files = Ledger::kNoFiles;
  std::size_t count = 0;
  const auto add = [&](const UniqueFd &file) {
    if (file.valid() && count < files.size()) files[count] = file.get();
    if (file.valid()) ++count;
  };
  add(request.kept.head);
  for (const UniqueFd &part : request.kept.parts) add(part);
  add(request.file);
  if (count <= files.size()) request.kept.entry.is_request(files);
}

// Of `received` the ledger needs a copy that outlives us.
bool SlowRequests::enter_received(Request &request, std::string_view bytes) {
  if (!ledger_.kept() || bytes.empty()) return true;
  UniqueFd &head = request.kept.head;
  if (!head.valid()) head.reset(::memfd_create("paddock-head", MFD_CLOEXEC));
  return head.valid() && write_all(head, bytes).ok();
}

bool SlowRequests::make_room(Site &site) {
  const auto full = [&] { return site.connections >= site.terms.connections || requests_.size() >= most_; };
  if (full() && !site.silent.empty()) refuse(take(site.silent.front()), site.terms.too_many);
  return !full();
}

void SlowRequests::no_longer_silent(Request &request) {
  if (request.silent) sites_.at(request.tenant).silent.erase(*request.silent);
  request.silent.reset();
}

void SlowRequests::begin(int fd) {
  Request &request = *requests_.at(fd);
  const Site &site = sites_.at(request.tenant);
  request.timer = loop_.after(site.terms.time, [this, fd] { look_at_time(fd); });
  request.size = request.kept.received.size();
  if (request.size == 0 && request.part_sizes.empty()) {
    auto &silent = sites_.at(request.tenant).silent;
    request.silent = silent.insert(silent.end(), fd);
  }
  const Outcome outcome = understand(request, site, bytes_of(request.kept.received));
  if (outcome != Outcome::kMore) return conclude(fd, outcome);
  continue_part(fd);
}

// What somebody else has put into files has to be looked through to know where the request ends.
void SlowRequests::continue_part(int fd) {
  Request &request = *requests_.at(fd);
  const Site &site = sites_.at(request.tenant);
  for (int turn = 0; request.part < request.part_sizes.size(); ++turn) {
    if (request.part_read == request.part_sizes[request.part]) {
      ++request.part;
      request.part_read = 0;
      continue;
    }
    if (turn == kReadsPerTurn) {
      request.turn = loop_.after(0ms, [this, fd] { continue_part(fd); });
      return;
    }
    const ssize_t got = ::pread(request.kept.parts[request.part].get(), read_buffer().data(), kReadSize,
                                static_cast<off_t>(request.part_read));
    if (got <= 0) return conclude(fd, Outcome::kClose);
    request.part_read += static_cast<std::uint64_t>(got);
    request.size += static_cast<std::uint64_t>(got);
    request.kept.share.add(static_cast<std::uint64_t>(got));
    if (*site.spooled > site.terms.spool_bytes) return conclude(fd, Outcome::kNoSpace);
    const Outcome outcome = understand(request, site, read_buffer().first(static_cast<std::size_t>(got)));
    if (outcome != Outcome::kMore) return conclude(fd, outcome);
  }
  request.turn = 0;
  if (!loop_.watch(request.kept.connection, EPOLLIN, [this, fd](std::uint32_t) { advance(fd); }))
    return conclude(fd, Outcome::kClose);
  request.watched = true;
  advance(fd);
}

void SlowRequests::advance(int fd) {
  Request &request = *requests_.at(fd);
  const Site &site = sites_.at(request.tenant);
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    request.kept.entry.take_out();
    const ssize_t got = ::recv(fd, read_buffer().data(), kReadSize, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return request.kept.entry.keep();
    if (got <= 0) return conclude(fd, Outcome::kClose);
    no_longer_silent(request);
    const auto bytes = read_buffer().first(static_cast<std::size_t>(got));
    if (const Outcome kept = keep(request, site, bytes); kept != Outcome::kMore) return conclude(fd, kept);
    enter(request);
    const Outcome outcome = understand(request, site, bytes);
    if (outcome != Outcome::kMore) return conclude(fd, outcome);
  }
}

SlowRequests::Outcome SlowRequests::keep(Request &request, const Site &site,
                                         std::span<const std::uint8_t> bytes) {
  request.size += bytes.size();
  WaitingRequest &kept = request.kept;
  if (kept.parts.empty() && !request.file.valid() &&
      kept.received.size() + bytes.size() <= handoff::kMaxReceived) {
    if (!enter_received(request, text_of(bytes))) return Outcome::kNoSpace;
    kept.received.append(text_of(bytes));
    return Outcome::kMore;
  }
  if (*site.spooled + bytes.size() > site.terms.spool_bytes) return Outcome::kNoSpace;
  if (!request.file.valid()) {
    auto file = spool_.create();
    if (!file) return Outcome::kNoSpace;
    request.file = std::move(*file);
  }
  kept.share.add(bytes.size());
  return write_all(request.file, text_of(bytes)) ? Outcome::kMore : Outcome::kNoSpace;
}

SlowRequests::Outcome SlowRequests::understand(Request &request, const Site &site,
                                               std::span<const std::uint8_t> bytes) {
  fastcgi::RequestAssembler &assembler = *request.kept.progress;
  const std::uint64_t limit = site.terms.body_bytes;
  for (;;) {
    switch (assembler.next(bytes)) {
      case Event::kNeedMore:
        return Outcome::kMore;
      case Event::kParamsComplete:
        if (site.terms.header_bytes != 0 && assembler.params().size() > site.terms.header_bytes)
          return Outcome::kTooLong;
        request.announced = fastcgi::announced_body(assembler.params());
        if (request.announced == 0) return Outcome::kWhole;
        if (limit != 0 && request.announced > 0 && static_cast<std::uint64_t>(request.announced) > limit)
          return Outcome::kTooLarge;
        break;
      case Event::kStdin:
        request.body += assembler.data().size();
        if (limit != 0 && request.body > limit) return Outcome::kTooLarge;
        if (request.announced >= 0 && request.body >= static_cast<std::uint64_t>(request.announced))
          return Outcome::kWhole;
        break;
      case Event::kStdinEnd:
        return Outcome::kWhole;
      case Event::kAbort:
      case Event::kRefused:  // another role: who asks for one slowly gets no reason why not
      case Event::kError:
        return Outcome::kClose;
      case Event::kReply: {
        // In the middle of a request the worker answers, who is given all of it again.
        if (!assembler.idle()) break;
        const auto reply = assembler.data();
        if (::send(request.kept.connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
            static_cast<ssize_t>(reply.size()))
          return Outcome::kClose;
        // It would be answered twice. Before a request not much comes (RequestLimits): all of it is here.
        std::string &received = request.kept.received;
        if (!request.kept.parts.empty() || request.file.valid() || bytes.size() > received.size())
          return Outcome::kClose;
        received.erase(0, received.size() - bytes.size());
        bytes = bytes_of(received);
        request.kept.head.reset();
        if (!enter_received(request, received)) return Outcome::kClose;
        enter(request);
        break;
      }
    }
  }
}

std::unique_ptr<SlowRequests::Request> SlowRequests::take(int fd) {
  const auto found = requests_.find(fd);
  std::unique_ptr<Request> request = std::move(found->second);
  requests_.erase(found);
  --sites_.at(request->tenant).connections;
  figures_.hold(request->tenant, Figures::Held::kSlow, -1);
  no_longer_silent(*request);
  loop_.cancel(request->timer);
  loop_.cancel(request->turn);
  if (request->watched) loop_.unwatch(request->kept.connection);
  if (request->file.valid()) request->kept.parts.push_back(std::move(request->file));
  return request;
}

void SlowRequests::conclude(int fd, Outcome outcome) {
  std::unique_ptr<Request> request = take(fd);
  const SlowTerms &terms = sites_.at(request->tenant).terms;
  switch (outcome) {
    case Outcome::kMore:
    case Outcome::kClose:
      return;
    case Outcome::kWhole:
      return whole_(request->tenant, std::move(request->kept));
    case Outcome::kTooLong:
      return refuse(std::move(request), terms.too_long);
    case Outcome::kTooLarge:
      return refuse(std::move(request), terms.too_large);
    case Outcome::kNoSpace:
      return refuse(std::move(request), terms.no_space);
  }
}

void SlowRequests::look_at_time(int fd) {
  Request &request = *requests_.at(fd);
  const SlowTerms &terms = sites_.at(request.tenant).terms;
  const auto earned = std::chrono::milliseconds(request.size * 1'000 / kLeastRate);
  const auto left = request.since + terms.time + earned - Clock::now();
  if (left > Clock::duration::zero()) {
    request.timer = loop_.after(left, [this, fd] { look_at_time(fd); });
    return;
  }
  refuse(take(fd), terms.too_late);
}

void SlowRequests::refuse(std::unique_ptr<Request> request, const std::shared_ptr<const Response> &response) {
  request->kept.entry.reset();
  request->kept.parts.clear();
  // Nobody to answer where no request has begun; and no time for it where too many are being answered.
  if (request->kept.progress->request_id() == 0 || refuser_.room(request->tenant) == 0)
    return figures_.refused(request->tenant, response->reason);
  refuser_.refuse(request->tenant, sites_.at(request->tenant).name, std::move(request->kept.connection),
                  response, std::move(request->kept.progress));
}

}  // namespace paddock::fcgi_gateway
