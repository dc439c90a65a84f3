// The programs' own log: one line an event, to standard error (journald) or a file. Backed by spdlog.
//
// Text that a tenant could have chosen (paths, URLs, names) goes through quoted() first.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace paddock::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// Sets the program's name, the lowest level that is written and the file (empty: standard error).
// Without a call: standard error, kInfo.
Result<void> setup(const std::string &program, Level lowest, const std::string &file = {});
// Reopens the file, after a rotation.
void reopen();

void debug(std::string_view text);
void info(std::string_view text);
void warning(std::string_view text);
void error(std::string_view text);

// `text` in double quotes, control characters and quotes as \xNN, cut to `limit` bytes: cannot forge a line
// or drive a terminal.
[[nodiscard]] std::string quoted(std::string_view text, std::size_t limit = 512);

}  // namespace paddock::log
