// What a tenant was doing when something befell it, kept with the event as JSON (RFC 8259).
//
// The tenant chose most of it (process titles, URLs, scripts): to_json() bounds every text and every list,
// and its result is well-formed whatever the bytes were. It is not safe to show as it is: a terminal or a
// page escapes it (log::quoted() and the like).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "accounting/counters.h"

namespace paddock::accounting {

struct Snapshot {
  static constexpr std::size_t kMaxProcesses = 64;
  static constexpr std::size_t kMaxRequests = 64;
  static constexpr std::size_t kMaxText = 256;  // bytes of a text
  static constexpr std::size_t kMaxList =
      std::size_t{48} * 1024;  // bytes of JSON after which a list takes no more

  struct Process {
    pid_t pid = 0;
    std::string title;  // its name: 15 bytes that it can choose (proc_pid_comm(5))
    char state = '?';   // as /proc/PID/stat has it
    std::uint64_t resident_bytes = 0;
    std::uint64_t cpu_ms = 0;
  };
  struct Request {
    std::string method;
    std::string uri;
    std::string script;
    std::chrono::milliseconds age{0};
  };

  std::vector<Process> processes;
  std::uint64_t process_count = 0;  // where the list is not all of them
  std::vector<Request> requests;    // that are running
  Gauges gauges;

  // At most Event::kMaxSnapshot bytes, whatever there is.
  [[nodiscard]] std::string to_json() const;
};

// The text as a JSON string, quotes included, of at most `limit` of its bytes. Bytes that are no UTF-8 become
// U+FFFD; control characters are escaped.
[[nodiscard]] std::string json_string(std::string_view text, std::size_t limit = Snapshot::kMaxText);

}  // namespace paddock::accounting
