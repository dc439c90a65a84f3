// What load_config() found wrong with a config, and where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policies/config.h"

namespace paddock::policies {

// kWarning: the config is used all the same, without the tenant that the warning is about where it is about
// one.
enum class Severity : std::uint8_t { kWarning, kError };

struct Diagnostic {
  Severity severity = Severity::kError;
  Location where;        // line 0: the file as a whole
  std::string key;       // "plan.small.workers"; empty where no key is at fault
  std::string message;   // "unknown key"
  std::string expected;  // "a size such as \"64M\""; may be empty
  std::string found;     // "integer -5"; may be empty
  std::string nearest;   // the known key or name that was probably meant; may be empty

  // "/etc/paddock/paddock.toml:12:3: error: plan.small.worker: unknown key; did you mean "workers"?"
  // One line, whatever the file holds: text from it is escaped.
  [[nodiscard]] std::string to_string() const;
  // The same without place and severity.
  [[nodiscard]] std::string explanation() const;
};

// The candidate that `word` is most likely a misspelling of: the smallest number of inserted, deleted,
// replaced or swapped characters, at most a third of the word and one. Empty: none is near.
[[nodiscard]] std::string nearest_of(std::string_view word, const std::vector<std::string> &candidates);

}  // namespace paddock::policies
