#include "fcgi_gateway/unread_answers.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fcgi_gateway/foreign_fd.h"
#include "protocols/handoff/handoff.h"

namespace paddock::fcgi_gateway {
namespace {

constexpr std::size_t kPieceSize = std::size_t{64} * 1024;
constexpr int kPiecesPerTurn = 8;
// Of a tenant that has had no lease from this gateway.
constexpr UnreadTerms kInheritedTerms{64, std::uint64_t{64} << 20, std::chrono::seconds(60)};

}  // namespace

UnreadAnswers::~UnreadAnswers() {
  while (!answers_.empty()) take(answers_.begin()->first);
}

void UnreadAnswers::set_terms(std::uint32_t tenant, const std::string &name, const UnreadTerms &terms) {
  Site &site = sites_[tenant];
  site.name = name;
  site.terms = terms;
}

void UnreadAnswers::drop(std::uint32_t tenant) {
  const auto found = sites_.find(tenant);
  if (found == sites_.end()) return;
  if (found->second.connections > 0) {
    for (auto at = answers_.begin(); at != answers_.end();) {
      const int fd = at->first;
      const bool own = at->second.tenant == tenant;
      ++at;
      if (own) take(fd);
    }
  }
  sites_.erase(found);
}

void UnreadAnswers::send(std::uint32_t tenant, UniqueFd connection, UniqueFd answer, std::uint64_t offset,
                         bool request_over) {
  const auto found = sites_.find(tenant);
  if (found == sites_.end() || !is_unix_stream(connection)) return;
  const auto size = handoff::sealed_size(answer);
  if (!size || offset > *size) return;
  Site &site = found->second;
  const std::uint64_t left = *size - offset;
  if (site.connections >= site.terms.connections || answers_.size() >= most_ ||
      left > site.terms.bytes - std::min(site.terms.bytes, site.bytes))
    return figures_.refused(tenant, gateway_link::reason::kUnread);
  const int fd = connection.get();
  if (::fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0) return;  // sendfile(2) has no flag for that
  if (!loop_.watch(connection, EPOLLOUT, [this, fd](std::uint32_t) { advance(fd); })) return;
  Answer entry;
  entry.tenant = tenant;
  entry.connection = std::move(connection);
  entry.file = std::move(answer);
  entry.begin = offset;
  entry.own_at = static_cast<off_t>(offset);
  entry.end = *size;
  entry.request_over = request_over;
  entry.entry = LedgerEntry(ledger_, entry.connection, site.name);
  entry.entry.is_answer(entry.file.get(), offset, request_over);
  entry.timer = loop_.after(site.terms.time, [this, fd] { look_at_time(fd); });
  answers_.emplace(fd, std::move(entry));
  ++site.connections;
  site.bytes += left;
  figures_.hold(tenant, Figures::Held::kUnread, 1);
}

void UnreadAnswers::inherit(std::uint32_t tenant, const std::string &name, UniqueFd connection,
                            UniqueFd answer, std::uint64_t offset, bool request_over) {
  if (sites_.find(tenant) == sites_.end()) set_terms(tenant, name, kInheritedTerms);
  send(tenant, std::move(connection), std::move(answer), offset, request_over);
}

UnreadAnswers::Answer UnreadAnswers::take(int fd) {
  const auto found = answers_.find(fd);
  Answer answer = std::move(found->second);
  answers_.erase(found);
  loop_.cancel(answer.timer);
  loop_.unwatch(answer.connection);
  Site &site = sites_.at(answer.tenant);
  --site.connections;
  site.bytes -= answer.end - answer.at();
  answer.entry.reset();
  figures_.hold(answer.tenant, Figures::Held::kUnread, -1);
  return answer;
}

void UnreadAnswers::advance(int fd) {
  Answer &answer = answers_.at(fd);
  for (int piece = 0; piece < kPiecesPerTurn && answer.at() < answer.end; ++piece) {
    const ssize_t sent = ::sendfile(fd, answer.file.get(), answer.position(),
                                    std::min<std::uint64_t>(kPieceSize, answer.end - answer.at()));
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent == 0) return cut(fd);
    if (sent < 0) {
      // The client has gone: nothing was refused.
      take(fd);
      return;
    }
    sites_.at(answer.tenant).bytes -= static_cast<std::uint64_t>(sent);
    answer.moved_at = Clock::now();
  }
  if (answer.at() < answer.end) return;
  Answer done = take(fd);
  if (done.request_over) return;
  const Site &site = sites_.at(done.tenant);
  refuser_.drain(done.tenant, site.name, std::move(done.connection));
}

void UnreadAnswers::look_at_time(int fd) {
  Answer &answer = answers_.at(fd);
  const auto time = sites_.at(answer.tenant).terms.time;
  const auto earned = std::chrono::milliseconds((answer.at() - answer.begin) * 1'000 / kLeastRate);
  const auto end = std::min(answer.moved_at + time, answer.since + time + earned);
  const auto now = Clock::now();
  if (end > now) {
    answer.timer = loop_.after(end - now, [this, fd] { look_at_time(fd); });
    return;
  }
  cut(fd);
}

void UnreadAnswers::cut(int fd) {
  const Answer answer = take(fd);
  figures_.refused(answer.tenant, gateway_link::reason::kUnread);
}

}  // namespace paddock::fcgi_gateway
