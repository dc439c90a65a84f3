// Which .htaccess files are on the way to a directory, known without asking for each of them at every
// request.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "htaccess/directory_watch.h"

namespace paddock::htaccess {

// Remembers which directories have no .htaccess. That this is still so is known from two facts: none of the
// watched directories was renamed, removed or given a .htaccess (DirectoryWatch), and the path still leads to
// the same last directory through the same mount. So a request costs one read(2) and one statx(2), however
// deep it goes. Where directories cannot be watched, all paths are given, to be looked at one by one.
class DirectoryChains {
 public:
  // Directories that are remembered; then all are forgotten.
  static constexpr std::size_t kMaxChains = 1024;

  explicit DirectoryChains(int max_watches) : watch_(max_watches) {}

  // The paths of all .htaccess files from the first `top` bytes of `directory` (the uppermost one) down to
  // `directory` itself that exist or may exist, uppermost first. `directory` is absolute, without "//" and
  // without '/' at its end ("" is the root). Good until the next call.
  const std::vector<std::string> &files(std::string_view directory, std::size_t top);

 private:
  struct Place {
    std::string path;
    DirectoryIdentity identity;
  };
  struct Chain {
    std::size_t top = 0;
    std::vector<Place> places;
    std::vector<std::string> files;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  bool add_directory(Chain &chain, const std::string &path, bool wanted);
  Chain build(std::string_view directory, std::size_t top);
  static bool in_place(const Chain &chain);

  DirectoryWatch watch_;
  std::unordered_map<std::string, Chain, Hash, std::equal_to<>> chains_;
};

}  // namespace paddock::htaccess
