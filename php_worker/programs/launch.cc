#include "php_worker/programs/launch.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace paddock::php_worker::programs {

std::vector<std::string> program_environment(const Params *params) {
  std::vector<std::string> all;
  const auto is_replaced = [params](std::string_view entry) {
    return params != nullptr && params->find(entry.substr(0, entry.find('='))) != nullptr;
  };
  for (char **entry = ::environ; entry != nullptr && *entry != nullptr; ++entry)
    if (!is_replaced(*entry)) all.emplace_back(*entry);
  if (params == nullptr) return all;
  for (const Params::Entry &entry : params->entries())
    if (entry.name.find('=') == std::string_view::npos)
      all.push_back(std::string(entry.name) + "=" + std::string(entry.value));
  return all;
}

std::string directory_of(const std::string &path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

void end_program(Child &child, int patience) {
  if (!child.valid()) return;
  child.signal_group(SIGTERM);
  pollfd entry{child.pidfd().get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, patience);
  } while (ready < 0 && errno == EINTR);
  child.signal_group(SIGKILL);
  ::poll(&entry, 1, -1);
  [[maybe_unused]] const auto reaped = child.try_reap();
  child = Child();
}

}  // namespace paddock::php_worker::programs
