// Paths as the specs of this folder take them.
#pragma once

#include <string>

namespace paddock::sandbox {

// Absolute, not "/" itself, and without "//", ".", ".." or a '/' at the end: as text it names what it names.
[[nodiscard]] inline bool is_plain_path(const std::string &path) {
  if (path.size() < 2 || path.front() != '/' || path.back() == '/' || path.find('\0') != std::string::npos)
    return false;
  const std::string probe = path + "/";
  return probe.find("//") == std::string::npos && probe.find("/./") == std::string::npos &&
         probe.find("/../") == std::string::npos;
}

}  // namespace paddock::sandbox
