// Taking all there is: files, memory, descriptors, processes.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "attempt.h"

namespace paddock::attackers {
namespace {

constexpr std::size_t kMore = 12 << 20;  // the plan's tmp_size is 8 MiB

std::string filled(const char *path) {
  const int fd = ::open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return said(fd);
  const std::vector<char> block(1 << 20, 'x');
  std::string result = "ok";
  for (std::size_t written = 0; written < kMore; written += block.size()) {
    const ssize_t put = ::write(fd, block.data(), block.size());
    if (put < 0) {
      result = said(put);
      break;
    }
  }
  ::close(fd);
  ::unlink(path);
  return result;
}

std::string many_files(const std::string &directory) {
  std::string result = "ok";
  int made = 0;
  for (; made < 4000; ++made) {
    const int fd =
        ::open((directory + "/f" + std::to_string(made)).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
      result = said(fd);
      break;
    }
    ::close(fd);
  }
  for (int i = 0; i < made; ++i) ::unlink((directory + "/f" + std::to_string(i)).c_str());
  return result;
}

// Until there is no more, or more than any limit that we set.
std::string until_refused(int most, const std::function<int()> &open) {
  for (int i = 0; i < most; ++i)
    if (open() < 0) return said(-1);
  return "ok";
}

}  // namespace

void add_resource_attempts(Attempts &attempts) {
  const auto root = Control::kRoot;
  const Attempts own = {
      {"fill-tmp", "fills the host's memory by /tmp", "ENOSPC", root, "ok",
       [] { return filled("/tmp/attempt"); }},
      {"fill-shm", "fills it by /dev/shm, which has no size of its own", "ENOSPC", root, "ok",
       [] { return filled("/dev/shm/attempt"); }},
      {"fill-var-tmp", "fills it by /var/tmp", "ENOSPC", root, "ok",
       [] { return filled("/var/tmp/attempt"); }},
      {"fill-inodes", "fills it by files without content", "ENOSPC", root, "ok",
       [] { return many_files("/tmp"); }},
      {"descriptors", "takes all open files of the host", "EMFILE", Control::kNone, "",
       [] { return until_refused(1 << 21, [] { return ::dup(0); }); }, "the limit is the account's as well"},
      {"descriptor-limit", "raises its own limit of them", "EPERM", Control::kNone, "",
       [] {
         rlimit limit{};
         ::getrlimit(RLIMIT_NOFILE, &limit);
         ++limit.rlim_max;
         limit.rlim_cur = limit.rlim_max;
         return said(::setrlimit(RLIMIT_NOFILE, &limit));
       },
       "takes CAP_SYS_RESOURCE, which a container's root may lack"},
      {"inotify", "takes all inotify instances of its uid", "EMFILE", Control::kNone, "",
       [] { return until_refused(1 << 21, [] { return ::inotify_init1(IN_CLOEXEC); }); },
       "the limit is the account's as well"},
      {"lock-memory", "locks more memory than it may", "ENOMEM", root, "ok",
       [] {
         constexpr std::size_t kSize = 256 << 20;
         void *memory = ::mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
         return said(
             memory == MAP_FAILED ? -1 : ::syscall(325 /* mlock2 */, memory, kSize, 1 /* MLOCK_ONFAULT */));
       }},
  };
  attempts.insert(attempts.end(), own.begin(), own.end());
}

}  // namespace paddock::attackers
