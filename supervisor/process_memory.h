// How much memory each process of a sandbox has of its own, as the kernel says.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace paddock::supervisor {

// Of so many processes at most: a fork bomb has no say in how long a status takes.
inline constexpr std::size_t kMostMeasured = 512;

// Bytes of anonymous memory that are resident (RssAnon, proc_pid_status(5)): a PHP worker's heap, and not the
// opcode cache that all workers share. By the process's number in its innermost pid namespace (NSpid), which
// is how a sandbox knows it. processes: their numbers here. What has gone meanwhile is left out.
[[nodiscard]] std::unordered_map<pid_t, std::uint64_t> own_memory(const std::vector<pid_t> &processes);

// The same two figures out of the text of /proc/PID/status.
[[nodiscard]] Result<std::pair<pid_t, std::uint64_t>> parse_own_memory(std::string_view status);

}  // namespace paddock::supervisor
