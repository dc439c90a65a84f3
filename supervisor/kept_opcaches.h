// What tenants without a sandbox have left in memory: their opcode caches, so that the next request does not
// compile the site anew.
//
// Each keeps its tenant's cgroup, to which it is charged, until it is dropped. Dropped is what its time has
// passed for, what is beyond the limit of all together (the one that was kept first goes first), and what the
// host wants back.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "cgroups/cgroup.h"
#include "supervisor/opcache_files.h"

namespace paddock::supervisor {

struct KeptOpcache {
  OpcacheFiles files;
  cgroups::Cgroup cgroup;  // without processes
};

class KeptOpcaches {
 public:
  using Clock = std::chrono::steady_clock;

  explicit KeptOpcaches(boost::asio::io_context &io) : timer_(io) {}
  ~KeptOpcaches() { drop_all(); }
  KeptOpcaches(const KeptOpcaches &) = delete;
  KeptOpcaches &operator=(const KeptOpcaches &) = delete;

  // Bytes that all may hold together; 0: nothing is kept.
  void set_limit(std::uint64_t bytes);
  // In place of one that the tenant may have. time 0: it is dropped at once.
  void keep(const std::string &tenant, KeptOpcache kept, std::chrono::milliseconds time);
  // The tenant's, if it fits sandboxes of that zygote; one that does not is dropped.
  [[nodiscard]] std::optional<KeptOpcache> take(const std::string &tenant, std::uint64_t zygote);
  void drop(const std::string &tenant);
  void drop_all();
  // Those that only sandboxes of that zygote can map, which has ended.
  void drop_of(std::uint64_t zygote);
  // The older half. False: there was nothing.
  bool relieve();

  // Bytes that are held for it, 0 without.
  [[nodiscard]] std::uint64_t held(const std::string &tenant) const;
  [[nodiscard]] std::uint64_t held() const { return held_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string tenant;
    KeptOpcache kept;
    std::uint64_t bytes = 0;
    Clock::time_point until;
  };
  using Entries = std::list<Entry>;  // the one kept first is the first

  KeptOpcache remove(Entries::iterator position);
  void drop(Entries::iterator position);
  void drop_beyond_limit();
  void watch_time();

  boost::asio::steady_timer timer_;
  std::uint64_t limit_ = 0;
  std::uint64_t held_ = 0;
  Entries entries_;
  std::map<std::string, Entries::iterator> by_tenant_;
  std::set<std::pair<Clock::time_point, std::string>> by_time_;
};

}  // namespace paddock::supervisor
