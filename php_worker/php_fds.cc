#include "php_worker/php_fds.h"

#include <dirent.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace paddock::php_worker {

std::vector<int> open_fds() {
  std::vector<int> fds;
  struct Close {
    void operator()(DIR *directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> directory(::opendir("/proc/self/fd"));
  if (!directory) return fds;
  while (const dirent *entry = ::readdir(directory.get()))
    if (entry->d_name[0] != '.') fds.push_back(std::atoi(entry->d_name));
  std::erase(fds, ::dirfd(directory.get()));
  return fds;
}

std::vector<int> opened_since(const std::vector<int> &before) {
  std::vector<int> fds = open_fds();
  std::erase_if(fds, [&](int fd) { return std::find(before.begin(), before.end(), fd) != before.end(); });
  return fds;
}

}  // namespace paddock::php_worker
