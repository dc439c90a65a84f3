#include "php_worker/opcache_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/file.h"
#include "base/memory_file.h"
#include "base/unique_fd.h"

namespace paddock::php_worker {
namespace {

// A line of proc_pid_maps(5): "start-end perms offset dev inode path".
bool parse_mapping(std::string_view line, OpcacheRegion::Mapping &mapping, std::string_view &path) {
  const auto field = [&line] {
    const auto space = std::min(line.find(' '), line.size());
    const std::string_view text = line.substr(0, space);
    line.remove_prefix(std::min(line.find_first_not_of(' ', space), line.size()));
    return text;
  };
  const auto number = [](std::string_view text, auto &value, int base) {
    return std::from_chars(text.data(), text.data() + text.size(), value, base).ec == std::errc();
  };
  const std::string_view range = field();
  const std::string_view permissions = field();
  const std::string_view offset = field();
  field();
  const std::string_view inode = field();
  path = line;
  const auto dash = range.find('-');
  std::uintptr_t end = 0;
  if (dash == std::string_view::npos || permissions.size() < 4 || permissions[3] != 's') return false;
  if (!number(range.substr(0, dash), mapping.start, 16) || !number(range.substr(dash + 1), end, 16) ||
      !number(offset, mapping.offset, 16) || !number(inode, mapping.inode, 10))
    return false;
  mapping.size = end - mapping.start;
  mapping.protection = (permissions[0] == 'r' ? PROT_READ : 0) | (permissions[1] == 'w' ? PROT_WRITE : 0) |
                       (permissions[2] == 'x' ? PROT_EXEC : 0);
  return true;
}

void *address(std::uintptr_t value) {
  return reinterpret_cast<void *>(value);
}

std::string link_of(int fd) {
  std::array<char, 256> target{};
  const ssize_t size =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target.data(), target.size() - 1);
  return size > 0 ? target.data() : "";
}

}  // namespace

Result<std::vector<OpcacheRegion::Mapping>> OpcacheRegion::shared_mappings() {
  PADDOCK_TRY(const std::string maps, read_file("/proc/self/maps", 16 << 20));
  std::vector<Mapping> found;
  std::string_view rest = maps;
  while (!rest.empty()) {
    const auto newline = std::min(rest.find('\n'), rest.size());
    Mapping mapping;
    std::string_view path;
    // What the kernel calls MAP_SHARED|MAP_ANONYMOUS memory.
    if (parse_mapping(rest.substr(0, newline), mapping, path) && path.starts_with("/dev/zero"))
      found.push_back(mapping);
    rest.remove_prefix(std::min(newline + 1, rest.size()));
  }
  return found;
}

Result<OpcacheRegion> OpcacheRegion::learn(const std::vector<Mapping> &before,
                                           const std::vector<int> &php_fds) {
  PADDOCK_TRY(const std::vector<Mapping> now, shared_mappings());
  OpcacheRegion learned;
  for (const Mapping &mapping : now) {
    if (std::any_of(before.begin(), before.end(),
                    [&](const Mapping &old) { return old.inode == mapping.inode; }))
      continue;
    auto region = std::find_if(learned.regions_.begin(), learned.regions_.end(), [&](const Region &other) {
      return other.mappings.front().inode == mapping.inode;
    });
    if (region == learned.regions_.end()) region = learned.regions_.insert(region, Region());
    region->mappings.push_back(mapping);
    region->size = std::max(region->size, static_cast<std::size_t>(mapping.offset) + mapping.size);
  }
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (Region &region : learned.regions_) {
    for (const Mapping &mapping : region.mappings) {
      std::vector<unsigned char> resident(mapping.size / page);
      if (::mincore(address(mapping.start), mapping.size, resident.data()) != 0)
        return errno_error("ask which pages of opcache are in memory");
      for (std::size_t i = 0; i < resident.size();) {
        const std::size_t first = i;
        while (i < resident.size() && (resident[i] & 1) != 0) ++i;
        if (i > first)
          region.resident.push_back(
              {mapping.start + first * page, (i - first) * page, mapping.offset + first * page});
        else
          ++i;
      }
    }
  }
  for (const int fd : php_fds) {
    const std::string name = link_of(fd);
    if (name.find("opcache_lock") != std::string::npos || name.find(".ZendSem.") != std::string::npos)
      learned.locks_.push_back(fd);
  }
  if (learned.present() && learned.locks_.empty())
    return Error{"find opcache's lock file among PHP's descriptors"};
  return learned;
}

std::vector<std::uint64_t> OpcacheRegion::sizes() const {
  std::vector<std::uint64_t> sizes;
  for (const Region &region : regions_) sizes.push_back(region.size);
  return sizes;
}

Result<void> OpcacheRegion::fill(const Region &region, BorrowedFd file) {
  // Written, not copied through a mapping: the kernel makes the pages without a fault for each.
  for (const Region::Run &run : region.resident) {
    std::size_t done = 0;
    while (done < run.size) {
      const ssize_t written = ::pwrite(file.get(), address(run.start + done), run.size - done,
                                       static_cast<off_t>(run.offset + done));
      if (written <= 0) return errno_error("copy opcache's memory");
      done += static_cast<std::size_t>(written);
    }
  }
  return {};
}

Result<void> OpcacheRegion::map(const Region &region, BorrowedFd file) {
  for (const Mapping &mapping : region.mappings) {
    if (::mmap(address(mapping.start), mapping.size, mapping.protection, MAP_SHARED | MAP_FIXED, file.get(),
               static_cast<off_t>(mapping.offset)) == MAP_FAILED)
      return errno_error("map opcache's memory");
  }
  return {};
}

Result<void> OpcacheRegion::replace_lock(int fd) {
  const UniqueFd lock(::memfd_create("opcache_lock", MFD_CLOEXEC));
  if (!lock.valid()) return errno_error("memfd_create for opcache's lock");
  if (::dup3(lock.get(), fd, O_CLOEXEC) < 0) return errno_error("replace opcache's lock");
  return {};
}

Result<void> OpcacheRegion::make_private(const std::vector<UniqueFd> &files, bool filled) const {
  if (!files.empty() && files.size() != regions_.size())
    return errno_error("map opcache's memory from " + std::to_string(files.size()) + " files", EINVAL);
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const Region &region = regions_[i];
    UniqueFd own;
    if (files.empty()) {
      PADDOCK_TRY(own, create_memory_file("paddock-opcache", region.size, "opcache's memory"));
    }
    const BorrowedFd file = files.empty() ? own.borrow() : files[i].borrow();
    if (!filled) PADDOCK_CHECK(fill(region, file));
    PADDOCK_CHECK(map(region, file));
  }
  for (const int fd : locks_) PADDOCK_CHECK(replace_lock(fd));
  return {};
}

}  // namespace paddock::php_worker
