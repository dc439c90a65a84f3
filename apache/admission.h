// How many PHP requests of whom are in Apache, over all of its children: in memory that they share, and that
// outlives a graceful restart, so that old and new children count together.
#pragma once

#include <sys/un.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "apache/apache.h"
#include "protocols/gateway_link/refusal_report.h"

namespace paddock::apache {

// One tenant's, in shared memory. Counts are kept by child: what a child that crashed has counted is dropped
// when another takes its column.
struct AdmissionSlot {
  static constexpr std::size_t kChildren = 64;
  std::atomic<std::uint32_t> state;  // 0 free, 1 being taken, 2 in use
  char name[60];
  std::atomic<std::uint32_t> requests[kChildren];
  std::atomic<std::uint32_t> suspended[kChildren];
  std::atomic<std::uint64_t> served;
  std::atomic<std::uint64_t> refused;
  // Of these, what the gateway could not be told, by gateway_link::WebServerReason.
  std::atomic<std::uint32_t> unreported[gateway_link::kWebServerReasons.size()];
};

class Admission {
 public:
  // As root, before the children are started. False: no memory.
  static bool prepare(server_rec *main_server);
  // In a child, before its first request; its place among the children goes with `pool`.
  static void start_child(apr_pool_t *pool);

  struct Figures {
    std::string_view tenant;
    std::uint32_t requests, suspended;
    std::uint64_t served, refused;
  };
  [[nodiscard]] static std::vector<Figures> figures();
};

// One request's place. Given back when it goes.
class Place {
 public:
  Place() = default;
  Place(const Place &) = delete;
  Place &operator=(const Place &) = delete;
  ~Place();

  // False: `limit` requests are in Apache already, or `tenant_limit` of this tenant. 0: no limit.
  [[nodiscard]] bool take(std::string_view tenant, int limit, int tenant_limit);
  void note_suspended(bool suspended);
  // Refused: counted, and told at `gateway`.
  void note_refused(const sockaddr_un &gateway, std::string_view tenant,
                    gateway_link::WebServerReason reason);

 private:
  AdmissionSlot *slot_ = nullptr;
  bool suspended_ = false;
};

}  // namespace paddock::apache
