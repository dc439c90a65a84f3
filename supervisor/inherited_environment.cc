#include "supervisor/inherited_environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "policies/entries.h"

namespace paddock::supervisor {
namespace {

constexpr std::array<std::string_view, 18> kNotForTenants = {"HOME",
                                                             "USER",
                                                             "LOGNAME",
                                                             "SHELL",
                                                             "MAIL",
                                                             "PWD",
                                                             "OLDPWD",
                                                             "SHLVL",
                                                             "_",
                                                             "TMPDIR",
                                                             "TERM",
                                                             "INVOCATION_ID",
                                                             "JOURNAL_STREAM",
                                                             "MAINPID",
                                                             "CREDENTIALS_DIRECTORY",
                                                             "RUNTIME_DIRECTORY",
                                                             "STATE_DIRECTORY",
                                                             "LOGS_DIRECTORY"};

}  // namespace

std::vector<std::string> inherited_environment() {
  std::vector<std::string> all;
  for (char **entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    if (name.starts_with("SUDO_") || name.starts_with("SYSTEMD_") ||
        std::find(kNotForTenants.begin(), kNotForTenants.end(), name) != kNotForTenants.end())
      continue;
    all.emplace_back(text);
  }
  return all;
}

std::vector<std::string> resolved(std::vector<std::string> entries) {
  for (std::string &entry : entries) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || entry.size() < equals + 3 || entry[equals + 1] != '$') continue;
    const std::string other = entry.substr(equals + 2);
    if (!policies::is_variable_name(other)) continue;
    const char *value = std::getenv(other.c_str());
    entry = entry.substr(0, equals + 1) + (value == nullptr ? "" : value);
  }
  return entries;
}

}  // namespace paddock::supervisor
