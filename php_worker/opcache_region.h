// opcache's shared memory, made private to a tenant.
//
// opcache keeps compiled scripts in one MAP_SHARED|MAP_ANONYMOUS region that every fork shares, and excludes
// writers by record locks on a memfd, which are per inode. Copies of one zygote would see each other's
// scripts and could block each other. So each keeper puts a file of its own in both places, at the same
// address and number, before it starts a worker: workers of one tenant share it, tenants do not. (Scripts are
// then only ever cached for one uid and one root: opcache.validate_permission and validate_root have nothing
// to add.)
//
// A file outlives the sandbox where the supervisor holds it: another keeper of the same zygote, whose PHP has
// the same things at the same addresses, maps it again, and all that was compiled is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace paddock::php_worker {

class OpcacheRegion {
 public:
  // In the zygote, after PHP's start: finds the regions that were not there `before` and which of their pages
  // hold something. Without opcache there are none, and make_private() does nothing.
  struct Mapping {
    std::uintptr_t start = 0;
    std::size_t size = 0;
    int protection = 0;
    std::uint64_t offset = 0;  // in the region's file
    std::uint64_t inode = 0;
  };
  [[nodiscard]] static Result<std::vector<Mapping>> shared_mappings();
  [[nodiscard]] static Result<OpcacheRegion> learn(const std::vector<Mapping> &before,
                                                   const std::vector<int> &php_fds);

  // In the keeper: about a millisecond a few MiB. Needs no privilege.
  // files: empty, for files of its own; else one for each of sizes(), and as large. filled: such a keeper has
  // been there before, and nothing is copied.
  [[nodiscard]] Result<void> make_private(const std::vector<UniqueFd> &files = {}, bool filled = false) const;

  // In bytes; one for each region.
  [[nodiscard]] std::vector<std::uint64_t> sizes() const;

  [[nodiscard]] bool present() const { return !regions_.empty(); }

 private:
  // Mappings of one file (parts of it can differ in protection), and the runs of its pages that are in
  // memory.
  struct Region {
    std::vector<Mapping> mappings;
    std::size_t size = 0;
    struct Run {
      std::uintptr_t start;
      std::size_t size;
      std::uint64_t offset;
    };
    std::vector<Run> resident;
  };
  static Result<void> fill(const Region &region, BorrowedFd file);
  static Result<void> map(const Region &region, BorrowedFd file);
  static Result<void> replace_lock(int fd);

  std::vector<Region> regions_;
  std::vector<int> locks_;  // opcache's, usually one
};

}  // namespace paddock::php_worker
