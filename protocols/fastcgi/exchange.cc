#include "protocols/fastcgi/exchange.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace paddock::fastcgi {
namespace {

constexpr std::size_t kBodyPiece = kMaxAlignedContent;
// Records that are no part of our request: who sends more wants to keep us busy.
constexpr unsigned kMaxForeign = 64;

}  // namespace

Result<void> Exchange::connect(const sockaddr_un &address) {
  fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_.valid()) return errno_error("make a socket");
  const auto *generic = reinterpret_cast<const sockaddr *>(&address);
  while (::connect(fd_.get(), generic, sizeof address) != 0) {
    if (errno == EINTR) continue;
    auto error = errno_error(std::string("connect to ") + address.sun_path);
    fd_.reset();
    return error;
  }
  return {};
}

void Exchange::start(std::string head, BodySource &body) {
  body_ = &body;
  unsent_ = std::move(head);
  sent_ = 0;
  all_queued_ = false;
}

// False: nothing more can be sent now.
bool Exchange::send() {
  for (;;) {
    // The request's head and its (small) body go out in one send.
    while (!all_queued_ && unsent_.size() - sent_ < kBodyPiece) {
      unsent_.erase(0, sent_);
      sent_ = 0;
      const std::string piece = body_->take(kBodyPiece);
      if (body_->failed()) return false;
      if (!piece.empty()) append_record(unsent_, Type::kStdin, kRequestId, piece);
      if (body_->at_end()) {
        append_record(unsent_, Type::kStdin, kRequestId, {});
        all_queued_ = true;
      }
    }
    if (sent_ == unsent_.size()) {
      unsent_.clear();
      sent_ = 0;
      return true;
    }
    const ssize_t done = ::send(fd_.get(), unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EAGAIN) return false;
    if (done < 0) {
      // It may have answered before it had read everything.
      deaf_ = true;
      all_queued_ = true;
      unsent_.clear();
      sent_ = 0;
      return true;
    }
    sent_ += static_cast<std::size_t>(done);
  }
}

Exchange::Event Exchange::broken(std::string_view what) {
  problem_ = what;
  return Event::kBroken;
}

Exchange::Event Exchange::take(const Fragment &fragment) {
  if (fragment.header.version != kVersion) return broken("it sent something that is not FastCGI");
  const auto type = static_cast<Type>(fragment.header.type);
  if (fragment.header.request_id != kRequestId) {
    if (++foreign_records_ > kMaxForeign) return broken("it sent too many records that belong to no request");
    return Event::kWait;
  }
  data_ = {reinterpret_cast<const char *>(fragment.content.data()), fragment.content.size()};
  switch (type) {
    case Type::kStdout:
      return fragment.content.empty() ? Event::kWait : Event::kOutput;
    case Type::kStderr:
      return fragment.content.empty() ? Event::kWait : Event::kError;
    case Type::kEndRequest:
      if (fragment.header.content_length < 8) return broken("it sent an END_REQUEST that is too short");
      if (end_.size() < 8) end_.append(data_.data(), data_.size());
      if (end_.size() < 8) return Event::kWait;
      protocol_status_ = static_cast<std::uint8_t>(end_[4]);
      return Event::kEnd;
    default:
      if (fragment.header.type == kFigures) take_figures(fragment);
      if (fragment.first && ++foreign_records_ > kMaxForeign)
        return broken("it sent too many records that belong to no answer");
      return Event::kWait;
  }
}

void Exchange::take_figures(const Fragment &fragment) {
  if (figures_ || fragment.header.content_length != kFiguresContent) return;
  figures_text_.append(data_.data(), data_.size());
  if (fragment.last)
    figures_ =
        parse_figures({reinterpret_cast<const std::uint8_t *>(figures_text_.data()), figures_text_.size()});
}

Exchange::Event Exchange::next() {
  for (;;) {
    Fragment fragment;
    while (reader_.next(rest_, fragment))
      if (const Event event = take(fragment); event != Event::kWait) return event;
    if (!fd_.valid()) return broken("the connection is closed");
    send();
    if (body_->failed()) return broken("the request's body could not be read back");
    if (!asked_) {
      asked_ = true;
      return Event::kWait;
    }
    const ssize_t got = ::recv(fd_.get(), input_, sizeof input_, 0);
    if (got > 0) {
      received_ += static_cast<std::uint64_t>(got);
      rest_ = {input_, static_cast<std::size_t>(got)};
      continue;
    }
    if (got == 0)
      return broken(received_ == 0 ? "it closed the connection without an answer"
                                   : "it closed the connection in the middle of the answer");
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Event::kWait;
    return broken(received_ == 0 ? "the connection broke before an answer came"
                                 : "the connection broke in the middle of the answer");
  }
}

void Exchange::ask_to_abort() {
  // Only at a record's boundary: in the middle of one these bytes would be its content.
  if (!fd_.valid() || deaf_ || sent_ != unsent_.size()) return;
  const auto header = format_header(Type::kAbortRequest, kRequestId, 0);
  ::send(fd_.get(), header.data(), header.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Exchange::abort() {
  ask_to_abort();
  fd_.reset();
}

}  // namespace paddock::fastcgi
