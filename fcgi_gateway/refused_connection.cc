#include "fcgi_gateway/refused_connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace paddock::fcgi_gateway {
namespace {

using Event = fastcgi::RequestAssembler::Event;

constexpr std::size_t kReadSize = std::size_t{64} * 1024;
constexpr int kReadsPerTurn = 8;

// Apache sends at most 100 fields of 8 KiB, browsers far less. Whoever sends more gets the refusal, unparsed.
constexpr std::size_t kMaxParams = std::size_t{128} * 1024;

fastcgi::Limits request_limits() {
  fastcgi::Limits limits;
  limits.params_bytes = kMaxParams;
  return limits;
}

// One buffer for all connections: nothing that was read outlives advance().
std::span<std::uint8_t> read_buffer() {
  static std::array<std::uint8_t, kReadSize> buffer;
  return buffer;
}

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

}  // namespace

RefusedConnection::RefusedConnection(UniqueFd fd, std::shared_ptr<const Response> response,
                                     std::uint64_t discard_limit,
                                     std::unique_ptr<fastcgi::RequestAssembler> progress)
    : fd_(std::move(fd)),
      response_(std::move(response)),
      discard_left_(discard_limit),
      assembler_(progress ? std::move(*progress) : fastcgi::RequestAssembler(request_limits())) {
  if (!response_) {
    // In the middle of a record, for all we know.
    answered_ = true;
    unparsed_ = true;
    return;
  }
  if (!progress || assembler_.request_id() == 0) return;
  answer();
  request_ended_ = assembler_.stdin_ended();
}

RefusedConnection::Wants RefusedConnection::give_up(std::string_view problem) {
  if (!answered()) problem_ = problem;
  return Wants::kClose;
}

void RefusedConnection::answer() {
  const std::uint16_t id = assembler_.request_id();
  fastcgi::append_record(out_, fastcgi::Type::kStdout, id, response_->text);
  fastcgi::append_record(out_, fastcgi::Type::kStdout, id, {});
  out_ += as_text(fastcgi::format_end_request(id, fastcgi::ProtocolStatus::kRequestComplete));
  answered_ = true;
}

RefusedConnection::Wants RefusedConnection::flush(Wants otherwise) {
  while (!out_.empty()) {
    const ssize_t sent = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return otherwise == Wants::kTurn ? Wants::kTurn : Wants::kWrite;
      return give_up("the client closed before it was answered");
    }
    out_.erase(0, static_cast<std::size_t>(sent));
  }
  return request_ended_ ? Wants::kClose : otherwise;
}

RefusedConnection::Wants RefusedConnection::consume(std::span<const std::uint8_t> input) {
  while (!unparsed_) {
    switch (assembler_.next(input)) {
      case Event::kNeedMore:
        return Wants::kRead;
      case Event::kParamsComplete:
        answer();
        break;
      case Event::kStdin:
        break;
      case Event::kStdinEnd:
        request_ended_ = true;
        return Wants::kRead;
      case Event::kAbort:
        return give_up("the client aborted the request");
      case Event::kReply:
      case Event::kRefused:
        out_ += as_text(assembler_.data());
        break;
      case Event::kError:
        // With a request begun there is somebody to answer, and the rest need not be understood to be thrown
        // away.
        if (!answered_ && assembler_.request_id() == 0) return give_up(assembler_.error());
        if (!answered_) answer();
        unparsed_ = true;
        break;
    }
  }
  return Wants::kRead;
}

RefusedConnection::Wants RefusedConnection::advance() {
  const std::span<std::uint8_t> buffer = read_buffer();
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return flush(Wants::kRead);
      return give_up("the client closed in the middle of its request");
    }
    if (got == 0) {
      // Half closed or gone: who still listens gets what is ready, nobody else is waited for.
      if (flush(Wants::kClose) != Wants::kClose) return give_up("the client closed before it was answered");
      return give_up("the client closed in the middle of its request");
    }
    const auto size = static_cast<std::uint64_t>(got);
    if (size > discard_left_) return give_up("the request is longer than the limit");
    discard_left_ -= size;
    if (consume(buffer.first(static_cast<std::size_t>(got))) == Wants::kClose) return Wants::kClose;
    const Wants next = flush(Wants::kTurn);
    if (next == Wants::kClose) return next;
  }
  return Wants::kTurn;
}

}  // namespace paddock::fcgi_gateway
