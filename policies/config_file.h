// Reads the config: the main file and those that it includes. docs/man/paddock.toml.5 describes every key.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/config.h"
#include "policies/diagnostic.h"
#include "policies/machine.h"

namespace paddock::policies {

inline constexpr std::size_t kLargestFile = 64 << 20;  // bytes

struct Loaded {
  // Absent when one of the diagnostics is an error.
  std::optional<Config> config;
  // Everything that is wrong, in the order of the files and their lines. A syntax error hides what else is
  // wrong in its file, and what the lack of its plans and tenants would bring up is not reported.
  std::vector<Diagnostic> diagnostics;
};

// Reads files and asks for accounts, groups and homes through `machine`; changes nothing.
[[nodiscard]] Loaded load_config(const std::string &path, const Machine &machine = this_machine());

// The same for a text that stands for the contents of `path`.
[[nodiscard]] Loaded parse_config(std::string_view text, const std::string &path, const Machine &machine);

// Only run_dir, state_dir and log_dir (the defaults where the file does not say), for clients of a supervisor
// that runs on an earlier version of the file: whatever else is wrong in it, and what it includes, is not
// looked at. An error: the file cannot be read, is no TOML, or one of the three is wrong.
[[nodiscard]] Result<Runtime> load_directories(const std::string &path);

}  // namespace paddock::policies
