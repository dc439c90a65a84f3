// From the workers' standard error to the tenant's log: whole lines, each with time and worker, bounded.
//
// Workers run the tenant's code and hold only the pipe's writing end; the log itself stays with the keeper. A
// line longer than kLineLimit is cut, bytes that are not printable are escaped (a tenant's log is read in
// terminals), past kBurst lines beyond kLinesPerSecond lines are dropped and counted, and all are while the
// file has its full size: a tenant does not fill the disk before the log is rotated.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/unique_fd.h"

namespace paddock::php_worker {

class LogRelay {
 public:
  static constexpr std::size_t kLineLimit = 8 * 1024;
  static constexpr double kLinesPerSecond = 200;
  static constexpr double kBurst = 2000;
  // Pipes of workers that have gone are read on while children of theirs hold them; more than so many are
  // closed, the oldest first.
  static constexpr std::size_t kOrphansLimit = 64;

  // kBare: lines as they are, however many come (an access log, a line a request).
  enum class Style : std::uint8_t { kMarked, kBare };

  // size_limit: of the file, bytes; 0: none.
  LogRelay(EventLoop &loop, UniqueFd log, std::uint64_t size_limit, Style style = Style::kMarked)
      : loop_(loop), log_(std::move(log)), size_limit_(size_limit), style_(style) {}
  ~LogRelay();
  LogRelay(const LogRelay &) = delete;
  LogRelay &operator=(const LogRelay &) = delete;

  // Reads a pipe until its end. `pid` is what its lines are marked with.
  Result<void> add(UniqueFd pipe, int pid);
  // The worker has ended: takes what it left, keeps the pipe while somebody else has it.
  void worker_ended(int pid);
  // A line of the keeper's own.
  void note(std::string_view text);

 private:
  struct Source {
    UniqueFd pipe;
    int pid = 0;
    bool orphan = false;
    bool cutting = false;  // inside a line that was too long
    std::string partial;
  };
  using Sources = std::list<Source>;

  // False: the pipe has ended.
  bool drain(Source &source);
  void take(Source &source, std::string_view bytes);
  void write_line(int pid, std::string_view text, bool cut);
  bool within_rate();
  bool full();
  void append(std::string_view line);
  void remove(Sources::iterator source);

  EventLoop &loop_;
  UniqueFd log_;
  std::uint64_t size_limit_;
  Style style_;
  bool full_ = false;
  Sources sources_;
  double tokens_ = kBurst;
  std::chrono::steady_clock::time_point refilled_ = std::chrono::steady_clock::now();
  std::uint64_t suppressed_ = 0;
  bool notice_due_ = false;
};

}  // namespace paddock::php_worker
