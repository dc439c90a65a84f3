#include "php_worker/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "php_worker/patience.h"
#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/record.h"

namespace paddock::php_worker {
namespace {

using Event = fastcgi::RequestAssembler::Event;

// 16 records of a big write go out in one sendmsg(2).
constexpr std::size_t kRecordsPerSend = 16;
// What must always fit behind the buffered output, so that a small answer is one send.
constexpr std::size_t kTailSize = fastcgi::kFiguresSize + fastcgi::kEndRequestSize;

// Bytes that flow earn a peer a little more time (kMomentEarned).
constexpr std::int64_t kEarningSize = 64 * 1024;

// Waits for `events` until the deadline; false: it has passed.
bool wait_for(int fd, short events, std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return true;  // the next read or write reports it
  }
}

}  // namespace

Connection::Connection(Relief *relief) : relief_(relief), output_(std::make_unique<char[]>(kOutputSize)) {}

void Connection::adopt(int fd) {
  fd_ = fd;
  inbox_.reset();
  rest_ = {};
  body_ = {};
  assembler_.reset();
  whole_ = false;
  moment_left_ = write_left_ = kMoment;
  outbox_.reset();
  bytes_out_ = 0;
  output_size_ = 0;
  record_open_ = false;
  length_at_ = 0;
  finished_ = false;
  settled_ = false;
  gone_ = false;
  aborted_ = false;
  end_seen_ = false;
  sent_ = false;
  problem_ = {};
}

void Connection::adopt(int fd, std::string_view received, std::vector<UniqueFd> files) {
  adopt(fd);
  inbox_.reset(received, std::move(files));
  whole_ = true;
}

// Whether there is such an event, or the peer has gone, before the moment is over.
bool Connection::wait_a_moment(short events, std::chrono::microseconds &left) {
  bool alone = true;
  for (;;) {
    const Clock::time_point before = Clock::now();
    if (before - left_at_ < kSwarm) left = std::min(left, kSwarmMoment);
    pollfd entries[2] = {{fd_, events, 0}, {relief_->others().get(), POLLIN, 0}};
    const timespec patience{0, std::chrono::nanoseconds(left).count()};
    const int ready = ::ppoll(entries, alone ? 2 : 1, &patience, nullptr);
    left -= std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - before);
    left = std::max(left, std::chrono::microseconds::zero());
    if (ready < 0 && errno != EINTR) return true;  // the next read reports it
    if (entries[0].revents != 0 && ready > 0) return true;
    if (ready == 0 || left == std::chrono::microseconds::zero()) return false;
    if (ready > 0) {
      alone = false;
      left = std::min(left, kShortMoment);
    }
  }
}

Connection::Received Connection::try_receive() {
  if (end_seen_) return Received::kEnd;
  rest_ = inbox_.replay();
  if (!rest_.empty()) return Received::kBytes;
  switch (inbox_.receive(fd_, rest_)) {
    case Kept::kBytes:
      return Received::kBytes;
    case Kept::kNothing:
      return Received::kTimeout;
    case Kept::kEnd:
      end_seen_ = true;
      return Received::kEnd;
    case Kept::kFailed:
      end_seen_ = true;
      return Received::kFailed;
  }
  return Received::kFailed;
}

Connection::Received Connection::receive(Clock::time_point deadline) {
  for (;;) {
    const Received how = try_receive();
    if (how != Received::kTimeout || !wait_for(fd_, POLLIN, deadline)) return how;
  }
}

Connection::Arrival Connection::broken(std::string_view what) {
  problem_ = what;
  return Arrival::kBroken;
}

bool Connection::answer_assembler() {
  const std::span<const std::uint8_t> bytes = assembler_.data();
  iovec piece{const_cast<std::uint8_t *>(bytes.data()), bytes.size()};
  return send_pieces(&piece, 1);
}

std::optional<Connection::Arrival> Connection::leave() {
  left_at_ = Clock::now();
  const auto file = inbox_.file();
  if (!file) return broken("there is no memory to give the request away");
  if (!relief_->take_slow(BorrowedFd(fd_), inbox_.buffered(), *file)) return std::nullopt;
  ::close(fd_);
  fd_ = -1;
  return Arrival::kLeft;
}

Connection::Arrival Connection::read_request() {
  if (relief_ == nullptr || whole_) return read_patiently();
  for (;;) {
    switch (assembler_.next(rest_)) {
      case Event::kParamsComplete: {
        if (const std::uint64_t limit = relief_->header_limit();
            limit != 0 && assembler_.params().size() > limit) {
          inbox_.rewind_to(inbox_.kept());
          return Arrival::kTooLong;
        }
        const std::int64_t body = fastcgi::announced_body(assembler_.params());
        if (body != 0) return collect_body(body);
        inbox_.rewind_to(inbox_.kept());
        return Arrival::kRequest;
      }
      case Event::kReply:
        if (!answer_assembler()) return Arrival::kNothing;
        // In the middle of a request what came before is part of it.
        if (assembler_.idle()) inbox_.forget_all_but(rest_);
        break;
      case Event::kRefused:
        answer_assembler();
        return broken("a request for a role other than Responder");
      case Event::kAbort:
        finish();
        return Arrival::kNothing;
      case Event::kError:
        return broken(assembler_.error());
      case Event::kStdin:
      case Event::kStdinEnd:
        break;  // not before the params, which the assembler sees to
      case Event::kNeedMore:
        switch (inbox_.receive_and_keep(fd_, rest_)) {
          case Kept::kBytes:
            break;
          case Kept::kNothing:
            if (wait_a_moment(POLLIN, moment_left_)) break;
            if (const auto left = leave()) return *left;
            inbox_.rewind_to(inbox_.kept());
            return read_patiently();
          case Kept::kEnd:
          case Kept::kFailed:
            return assembler_.idle() ? Arrival::kNothing
                                     : broken("the client went in the middle of the params");
        }
    }
  }
}

Connection::Arrival Connection::collect_body(std::int64_t length) {
  const std::uint64_t limit = relief_->body_limit();
  const std::uint64_t consumed = inbox_.kept() - rest_.size();
  std::uint64_t seen = 0;
  std::uint64_t paid = inbox_.kept();
  scout_ = assembler_;
  std::span<const std::uint8_t> ahead = rest_;
  const auto too_large = [&](std::uint64_t size) { return limit != 0 && size > limit; };
  if (length > 0 && too_large(static_cast<std::uint64_t>(length))) {
    inbox_.rewind_to(inbox_.kept());
    return Arrival::kTooLarge;
  }
  for (bool whole = false; !whole;) {
    switch (scout_.next(ahead)) {
      case Event::kStdin:
        seen += scout_.data().size();
        if (length < 0 && too_large(seen)) {
          problem_ = "the body is longer than the limit";
          return Arrival::kBroken;
        }
        whole = length >= 0 && seen >= static_cast<std::uint64_t>(length);
        break;
      case Event::kNeedMore:
        switch (inbox_.receive_and_keep(fd_, ahead)) {
          case Kept::kBytes:
            if (inbox_.kept() - paid >= Inbox::kSize) {
              paid = inbox_.kept();
              moment_left_ = std::min(moment_left_ + kMomentEarned, kLongestMoment);
            }
            break;
          case Kept::kNothing:
            if (wait_a_moment(POLLIN, moment_left_)) break;
            if (const auto left = leave()) return *left;
            whole = true;  // PHP waits for the rest
            break;
          case Kept::kEnd:
            whole = true;  // as much as there will ever be
            break;
          case Kept::kFailed:
            return broken("the body could not be received");
        }
        break;
      default:
        whole = true;  // the end, or what assembler_ will come upon and deal with
        break;
    }
  }
  rest_ = {};
  inbox_.rewind_to(consumed);
  return Arrival::kRequest;
}

Connection::Arrival Connection::read_patiently() {
  const Clock::time_point deadline = Clock::now() + kParamsPatience;
  for (;;) {
    switch (assembler_.next(rest_)) {
      case Event::kParamsComplete:
        return Arrival::kRequest;
      case Event::kReply:
        if (!answer_assembler()) return Arrival::kNothing;
        break;
      case Event::kRefused:
        answer_assembler();
        return broken("a request for a role other than Responder");
      case Event::kAbort:
        finish();
        return Arrival::kNothing;
      case Event::kError:
        return broken(assembler_.error());
      case Event::kStdin:
      case Event::kStdinEnd:
        break;  // not before the params, which the assembler sees to
      case Event::kNeedMore:
        switch (receive(deadline)) {
          case Received::kBytes:
            break;
          case Received::kTimeout:
            return assembler_.idle() ? Arrival::kNothing : broken("the params did not come in time");
          case Received::kEnd:
          case Received::kFailed:
            return assembler_.idle() ? Arrival::kNothing
                                     : broken("the client went in the middle of the params");
        }
    }
  }
}

std::size_t Connection::read_body(char *to, std::size_t size) {
  std::size_t filled = 0;
  while (filled < size) {
    if (!body_.empty()) {
      const std::size_t taken = std::min(size - filled, body_.size());
      std::memcpy(to + filled, body_.data(), taken);
      body_ = body_.subspan(taken);
      filled += taken;
      continue;
    }
    if (fd_ < 0 || peer_gone() || !problem_.empty() || assembler_.stdin_ended()) break;
    switch (assembler_.next(rest_)) {
      case Event::kStdin:
        body_ = assembler_.data();
        break;
      case Event::kStdinEnd:
        break;
      case Event::kAbort:
        aborted_ = true;
        problem_ = "the web server aborted the request";
        break;
      case Event::kReply:
      case Event::kRefused:
        // The reply must not land inside an open record.
        if (send_buffered()) answer_assembler();
        break;
      case Event::kError:
        problem_ = assembler_.error();
        break;
      case Event::kParamsComplete:
        break;
      case Event::kNeedMore:
        switch (receive(Clock::now() + kBodyPatience)) {
          case Received::kBytes:
            break;
          case Received::kTimeout:
            problem_ = "the body did not come in time";
            break;
          case Received::kEnd:
          case Received::kFailed:
            problem_ = "the client went in the middle of the body";
            break;
        }
    }
  }
  return filled;
}

std::unique_ptr<CollectedBody> Connection::take_body(std::uint64_t length) {
  const auto unread = inbox_.unreplayed();
  if (!unread || (*unread)[1].empty() || !rest_.empty() || !body_.empty()) return nullptr;
  auto body = std::make_unique<CollectedBody>();
  scout_ = assembler_;
  const std::span<const std::uint8_t> memory = (*unread)[1];
  for (std::span<const std::uint8_t> bytes : *unread) {
    for (bool more = true; more;) {
      switch (scout_.next(bytes)) {
        case Event::kStdin: {
          const std::uint8_t *const piece = scout_.data().data();
          body->add(scout_.data(), piece < memory.data() || piece >= memory.data() + memory.size());
          break;
        }
        case Event::kStdinEnd:
          break;
        case Event::kNeedMore:
          more = false;
          break;
        default:
          return nullptr;
      }
    }
  }
  if (body->size() != length) return nullptr;
  assembler_ = scout_;
  body->keep(inbox_.take_memory());
  return body;
}

void Connection::open_record() {
  record_at_ = output_size_;
  record_open_ = true;
  output_size_ += fastcgi::kHeaderSize;
}

// outside: bytes of the record that are not in the output.
void Connection::close_record(std::size_t outside) {
  if (!record_open_) return;
  record_open_ = false;
  const std::size_t content = output_size_ - record_at_ - fastcgi::kHeaderSize + outside;
  if (content == 0) {
    output_size_ = record_at_;
    return;
  }
  const auto header = fastcgi::format_header(fastcgi::Type::kStdout, assembler_.request_id(), content);
  std::memcpy(output_.get() + record_at_, header.data(), header.size());
}

void Connection::tell_length_here() {
  if (record_open_ && !sent_) length_at_ = output_size_;
}

// The line of the Content-Length, where there is one to tell: not of an empty body, which may stand for a
// file that the web server sends in its place (X-Sendfile).
std::string_view Connection::length_line(std::span<char> to) const {
  constexpr std::string_view kName = "Content-Length: ";
  constexpr std::string_view kEnd = "\r\n";
  if (length_at_ == 0 || sent_ || !record_open_) return {};
  const std::size_t body = output_size_ - length_at_ - kEnd.size();
  if (body == 0) return {};
  char *end = std::copy(kName.begin(), kName.end(), to.data());
  end = std::to_chars(end, to.data() + to.size(), body).ptr;
  end = std::copy(kEnd.begin(), kEnd.end(), end);
  return {to.data(), static_cast<std::size_t>(end - to.data())};
}

bool Connection::write(const char *data, std::size_t size) {
  if (finished_) return true;
  if (peer_gone() || fd_ < 0) return false;
  bytes_out_ += size;
  const std::size_t needed = size + (record_open_ ? 0 : fastcgi::kHeaderSize);
  if (needed <= kOutputSize - kTailSize - output_size_) {
    if (!record_open_) open_record();
    std::memcpy(output_.get() + output_size_, data, size);
    output_size_ += size;
    return true;
  }
  close_record();
  std::array<fastcgi::HeaderBytes, kRecordsPerSend> headers;
  std::array<iovec, 2 * kRecordsPerSend + 1> pieces;
  while (size > 0) {
    std::size_t count = 0;
    if (output_size_ > 0) pieces[count++] = {output_.get(), output_size_};
    for (std::size_t i = 0; i < kRecordsPerSend && size > 0; ++i) {
      const std::size_t piece = std::min(size, fastcgi::kMaxAlignedContent);
      headers[i] = fastcgi::format_header(fastcgi::Type::kStdout, assembler_.request_id(), piece);
      pieces[count++] = {headers[i].data(), headers[i].size()};
      pieces[count++] = {const_cast<char *>(data), piece};
      data += piece;
      size -= piece;
    }
    output_size_ = 0;
    if (!send_pieces(pieces.data(), count)) return false;
  }
  return true;
}

bool Connection::send_pieces(iovec *pieces, std::size_t count) {
  if (gone_ || fd_ < 0) return false;
  sent_ = true;
  if (!outbox_.empty() && !outbox_.send_to(fd_)) {
    gone_ = true;
    return false;
  }
  while (count > 0 && outbox_.empty()) {
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN && relief_ != nullptr) {
        if (wait_a_moment(POLLOUT, write_left_)) continue;
        break;
      }
      if (errno == EAGAIN && wait_for(fd_, POLLOUT, Clock::now() + kWritePatience)) continue;
      gone_ = true;
      return false;
    }
    auto left = static_cast<std::size_t>(sent);
    write_left_ = std::min<std::chrono::microseconds>(
        write_left_ + kMomentEarned * static_cast<std::int64_t>(left) / kEarningSize, kLongestMoment);
    while (count > 0 && left >= pieces->iov_len) {
      left -= pieces->iov_len;
      ++pieces;
      --count;
    }
    if (count > 0) {
      pieces->iov_base = static_cast<char *>(pieces->iov_base) + left;
      pieces->iov_len -= left;
    }
  }
  return count == 0 || put_by(pieces, count);
}

bool Connection::put_by(const iovec *pieces, std::size_t count) {
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < count; ++i) size += pieces[i].iov_len;
  // One piece always may: it is in this process's memory already.
  while (!outbox_.empty() && outbox_.pending() + size > relief_->answer_limit())
    if (!make_room()) {
      gone_ = true;
      return false;
    }
  gone_ = !outbox_.append(pieces, count);
  return !gone_;
}

// Until the peer has taken a good part of what is put by. False: it does not, or has gone.
bool Connection::make_room() {
  constexpr auto kLook = std::chrono::milliseconds(100);
  const Clock::time_point begin = Clock::now();
  const std::uint64_t before = outbox_.pending();
  for (;;) {
    wait_for(fd_, POLLOUT, Clock::now() + kLook);
    if (!outbox_.send_to(fd_)) return false;
    if (outbox_.empty() || before - outbox_.pending() >= kLeastTaken) return true;
    const auto patience =
        relief_->crowded() ? std::min(kCrowdedPatience, relief_->send_time()) : relief_->send_time();
    if (Clock::now() - begin < patience) continue;
    relief_->count_cut();
    return false;
  }
}

// Whether the peer has ended its request, as far as can be seen without waiting.
bool Connection::request_over() {
  constexpr int kMostReads = 16;
  for (int reads = 0; !assembler_.stdin_ended();) {
    const Event event = assembler_.next(rest_);
    if (event == Event::kError || event == Event::kAbort) return false;
    if (event == Event::kNeedMore && (++reads > kMostReads || try_receive() != Received::kBytes))
      return false;
  }
  return true;
}

void Connection::give_rest_away() {
  if (!outbox_.send_to(fd_)) gone_ = true;
  if (gone_ || outbox_.empty()) return;
  left_at_ = Clock::now();
  if (const BorrowedFd file = outbox_.seal();
      file.valid() && relief_->take_unread(BorrowedFd(fd_), file, outbox_.offset(), request_over())) {
    ::close(fd_);
    fd_ = -1;
    outbox_.reset();
    return;
  }
  while (!gone_ && !outbox_.empty())
    gone_ = !wait_for(fd_, POLLOUT, Clock::now() + kWritePatience) || !outbox_.send_to(fd_);
}

bool Connection::send_buffered() {
  close_record();
  if (output_size_ == 0) return !gone_;
  iovec piece{output_.get(), output_size_};
  output_size_ = 0;
  return send_pieces(&piece, 1);
}

void Connection::look_for_abort() {
  if (end_seen_ || !body_.empty() || !problem_.empty()) return;
  // A peer that only shut its writing side down may still read; one that is gone fails the next send.
  if (rest_.empty() && try_receive() != Received::kBytes) return;
  switch (assembler_.next(rest_)) {
    case Event::kAbort:
      aborted_ = true;
      break;
    case Event::kStdin:
      body_ = assembler_.data();
      break;
    default:
      break;
  }
}

bool Connection::flush() {
  if (finished_) return true;
  if (fd_ < 0) return false;
  const bool first = !sent_;
  if (!send_buffered()) return false;
  if (!first) look_for_abort();
  return !peer_gone();
}

void Connection::finish(const fastcgi::Figures *figures) {
  if (finished_ || fd_ < 0) return;
  finished_ = true;
  if (aborted_) {
    output_size_ = 0;
    record_open_ = false;
  }
  std::array<char, 32> room;
  const std::string_view length = length_line(room);
  bytes_out_ += length.size();
  close_record(length.size());
  if (figures != nullptr && has_settings() && !aborted_) {
    const auto record = fastcgi::format_figures(assembler_.request_id(), *figures);
    std::memcpy(output_.get() + output_size_, record.data(), record.size());
    output_size_ += record.size();
  }
  const auto end =
      fastcgi::format_end_request(assembler_.request_id(), fastcgi::ProtocolStatus::kRequestComplete);
  std::memcpy(output_.get() + output_size_, end.data(), end.size());
  output_size_ += end.size();
  const std::size_t before = length.empty() ? 0 : length_at_;
  std::array<iovec, 3> pieces = {{{output_.get(), before},
                                  {const_cast<char *>(length.data()), length.size()},
                                  {output_.get() + before, output_size_ - before}}};
  const std::span<iovec> whole = std::span(pieces).subspan(length.empty() ? 2 : 0);
  output_size_ = 0;
  // A script that goes on after its answer may still read its request's body, which comes by this connection.
  if (send_pieces(whole.data(), whole.size()) && !outbox_.empty() &&
      (body_complete() || fastcgi::announced_body(assembler_.params()) == 0))
    give_rest_away();
}

void Connection::leave_answer() {
  finished_ = true;
  settled_ = true;
}

// What the peer has not taken, and what it still sends.
void Connection::settle() {
  if (settled_) return;
  settled_ = true;
  if (fd_ >= 0 && finished_ && !gone_ && !outbox_.empty()) give_rest_away();
  if (fd_ >= 0 && finished_ && !peer_gone() && problem_.empty()) linger();
}

bool Connection::is_kept() {
  if (!assembler_.keep_connection() || !finished_) return false;
  settle();
  return fd_ >= 0 && !peer_gone() && problem_.empty() && !end_seen_ && assembler_.stdin_ended() &&
         rest_.empty() && body_.empty();
}

bool Connection::await_next(std::chrono::milliseconds time, BorrowedFd others) {
  const auto has_come = [this] {
    char first = 0;
    return ::recv(fd_, &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  };
  pollfd entries[2] = {{fd_, POLLIN, 0}, {others.get(), POLLIN, 0}};
  if (time > std::chrono::milliseconds::zero()) ::poll(entries, 2, static_cast<int>(time.count()));
  // What came just before the end of the way here is still read.
  bool next = has_come();
  if (!next && ::shutdown(fd_, SHUT_RD) == 0) next = has_come();
  if (next) {
    adopt(fd_);
  } else {
    close();
  }
  return next;
}

void Connection::close() {
  settle();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  outbox_.reset();
  inbox_.reset();
  rest_ = {};
  body_ = {};
}

void Connection::linger() {
  const Clock::time_point deadline = Clock::now() + kLingerPatience;
  moment_left_ = kMoment;
  while (!assembler_.stdin_ended()) {
    const Event event = assembler_.next(rest_);
    if (event == Event::kError || event == Event::kAbort) return;
    if (event == Event::kNeedMore) {
      Received how = try_receive();
      if (how == Received::kTimeout && relief_ != nullptr) {
        if (wait_a_moment(POLLIN, moment_left_)) continue;
        if (relief_->take_unread(BorrowedFd(fd_), BorrowedFd(), 0, false)) return;
      }
      if (how == Received::kTimeout) how = receive(deadline);
      if (how != Received::kBytes) return;
    }
    // A flood that never ends is cut too.
    if (Clock::now() > deadline) return;
  }
}

}  // namespace paddock::php_worker
