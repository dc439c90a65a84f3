#include "php_worker/log_relay.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>

namespace paddock::php_worker {
namespace {

// "[2026-01-31T12:00:00.123Z] "
std::string timestamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  std::array<char, 40> seconds{};
  std::strftime(seconds.data(), seconds.size(), "[%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 56> text{};
  std::snprintf(text.data(), text.size(), "%s.%03dZ] ", seconds.data(),
                static_cast<int>(now.tv_nsec / 1'000'000));
  return text.data();
}

void append_printable(std::string &out, std::string_view text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    // UTF-8 stays readable; C1 controls arrive as two bytes of it and are harmless to terminals that decode
    // it.
    if ((byte >= 0x20 && byte != 0x7f) || c == '\t') {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
}

}  // namespace

LogRelay::~LogRelay() {
  while (!sources_.empty()) remove(sources_.begin());
}

Result<void> LogRelay::add(UniqueFd pipe, int pid) {
  if (::fcntl(pipe.get(), F_SETFL, O_NONBLOCK) != 0) return errno_error("make a worker's pipe non-blocking");
  sources_.push_back({std::move(pipe), pid, false, false, {}});
  const auto source = std::prev(sources_.end());
  auto watched = loop_.watch(source->pipe, EPOLLIN, [this, source](std::uint32_t) {
    if (!drain(*source)) remove(source);
  });
  if (!watched) sources_.erase(source);
  return watched;
}

void LogRelay::remove(Sources::iterator source) {
  if (!source->partial.empty()) write_line(source->pid, source->partial, false);
  loop_.unwatch(source->pipe);
  sources_.erase(source);
}

void LogRelay::worker_ended(int pid) {
  std::size_t orphans = 0;
  for (auto source = sources_.begin(); source != sources_.end();) {
    const auto now = source++;
    if (now->pid == pid && !now->orphan) {
      now->orphan = true;
      if (!drain(*now)) {
        remove(now);
        continue;
      }
    }
    if (now->orphan) ++orphans;
  }
  for (auto source = sources_.begin(); orphans > kOrphansLimit && source != sources_.end();) {
    const auto now = source++;
    if (!now->orphan) continue;
    remove(now);
    --orphans;
  }
}

bool LogRelay::drain(Source &source) {
  // At most 64 KiB a turn: a worker that floods its log does not keep the keeper from its other duties.
  for (int turn = 0; turn < 4; ++turn) {
    std::array<char, 16 * 1024> bytes;
    const ssize_t got = ::read(source.pipe.get(), bytes.data(), bytes.size());
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    take(source, {bytes.data(), static_cast<std::size_t>(got)});
  }
  return true;
}

void LogRelay::take(Source &source, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, newline);
    bytes.remove_prefix(std::min(piece.size() + 1, bytes.size()));
    if (!source.cutting) {
      source.partial += piece.substr(0, kLineLimit - source.partial.size());
      if (source.partial.size() == kLineLimit) {
        write_line(source.pid, source.partial, true);
        source.partial.clear();
        source.cutting = true;
      }
    }
    if (newline == std::string_view::npos) continue;
    if (!source.cutting) write_line(source.pid, source.partial, false);
    source.partial.clear();
    source.cutting = false;
  }
}

bool LogRelay::within_rate() {
  const auto now = std::chrono::steady_clock::now();
  tokens_ =
      std::min(kBurst, tokens_ + std::chrono::duration<double>(now - refilled_).count() * kLinesPerSecond);
  refilled_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

// Somebody else may have written there, or emptied it: a rotation, a second sandbox that is on its way out.
bool LogRelay::full() {
  if (size_limit_ == 0) return false;
  struct stat status {};
  const bool now =
      ::fstat(log_.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) >= size_limit_;
  if (now && !full_)
    append(timestamp() + "keeper: the log has its full size: what comes is dropped until it is rotated\n");
  return full_ = now;
}

// One write(2) on an O_APPEND file: lines of several writers do not mix. A full disk loses the line, not the
// keeper.
void LogRelay::append(std::string_view line) {
  [[maybe_unused]] const ssize_t written = ::write(log_.get(), line.data(), line.size());
}

void LogRelay::write_line(int pid, std::string_view text, bool cut) {
  if ((style_ == Style::kMarked && !within_rate()) || full()) {
    ++suppressed_;
    if (!notice_due_) {
      notice_due_ = true;
      loop_.after(std::chrono::seconds(1), [this] {
        notice_due_ = false;
        if (full()) return;
        note(std::to_string(suppressed_) + " lines suppressed");
        suppressed_ = 0;
      });
    }
    return;
  }
  std::string line;
  if (style_ == Style::kMarked) line = timestamp() + "worker " + std::to_string(pid) + ": ";
  append_printable(line, text);
  line += cut ? " [cut]\n" : "\n";
  append(line);
}

void LogRelay::note(std::string_view text) {
  if (full()) return;
  std::string line = timestamp() + "keeper: ";
  append_printable(line, text);
  line += '\n';
  append(line);
}

}  // namespace paddock::php_worker
