#include "htaccess/directory_chain.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace paddock::htaccess {
namespace {

std::string htaccess_of(const std::string &directory) {
  return (directory == "/" ? "" : directory) + "/.htaccess";
}

// A symlink that leads nowhere counts: what it names could come to be without an event here.
bool is_absent(const std::string &path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) != 0 && errno == ENOENT;
}

}  // namespace

// Whether `path` could be watched, and adds to the chain what has to be looked at all the same.
bool DirectoryChains::add_directory(Chain &chain, const std::string &path, bool wanted) {
  const DirectoryIdentity before = DirectoryIdentity::of(path);
  const DirectoryWatch::Added added = watch_.add(path, wanted);
  if (added == DirectoryWatch::Added::kNo || !before.exists) return false;
  const bool unreadable = added == DirectoryWatch::Added::kUnreadable;
  // Only now: whatever comes to be after this is an event.
  if (wanted && (unreadable || !is_absent(htaccess_of(path)))) chain.files.push_back(htaccess_of(path));
  if (added == DirectoryWatch::Added::kYes) return true;
  // What leads here is not watched itself, a link that is changed, a rename of what may not be read: where it
  // leads is asked each time.
  chain.places.push_back({path, before});
  return DirectoryIdentity::of(path) == before;
}

DirectoryChains::Chain DirectoryChains::build(std::string_view directory, std::size_t top) {
  // "" is the root.
  std::vector<std::string> paths;
  for (std::size_t end = 0;; end = std::min(directory.find('/', end + 1), directory.size())) {
    paths.emplace_back(end == 0 ? "/" : directory.substr(0, end));
    if (end >= directory.size()) break;
  }
  const auto is_wanted = [&](const std::string &path) {
    return top == 0 || path.size() >= std::max<std::size_t>(top, 2);
  };
  Chain chain;
  chain.top = top;
  const bool watched = std::all_of(paths.begin(), paths.end(), [&](const std::string &path) {
    return add_directory(chain, path, is_wanted(path));
  });
  if (watched) {
    chain.places.push_back({paths.back(), DirectoryIdentity::of(paths.back())});
    return chain;
  }
  chain.places.clear();
  chain.files.clear();
  for (const std::string &path : paths)
    if (is_wanted(path)) chain.files.push_back(htaccess_of(path));
  return chain;
}

bool DirectoryChains::in_place(const Chain &chain) {
  return std::all_of(chain.places.begin(), chain.places.end(), [](const Place &place) {
    return place.identity.exists && DirectoryIdentity::of(place.path) == place.identity;
  });
}

const std::vector<std::string> &DirectoryChains::files(std::string_view directory, std::size_t top) {
  if (watch_.changed() || chains_.size() >= kMaxChains) chains_.clear();
  auto found = chains_.find(directory);
  if (found != chains_.end() && found->second.top == top && in_place(found->second))
    return found->second.files;
  if (found == chains_.end()) found = chains_.emplace(directory, Chain()).first;
  found->second = build(directory, top);
  return found->second.files;
}

}  // namespace paddock::htaccess
