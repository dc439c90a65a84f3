// Which tenants the admin, or a rule, has blocked, why and until when; one small file each, so that a block
// survives restarts and crashes. Which are throttled is kept in the same way, elsewhere.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace paddock::supervisor {

struct Block {
  std::string reason;                                          // of a throttle: the plan whose limits hold
  std::optional<std::chrono::system_clock::time_point> until;  // absent: until it is lifted
};

class BlockList {
 public:
  // Reads what a run before has left in the directory, and makes it if need be. A file that cannot be read is
  // an error: a block is not to be lifted by accident.
  [[nodiscard]] static Result<BlockList> load(const std::string &directory);

  [[nodiscard]] const Block *find(const std::string &tenant) const;
  // On disk before it returns.
  Result<void> set(const std::string &tenant, Block block);
  Result<void> clear(const std::string &tenant);

 private:
  explicit BlockList(std::string directory) : directory_(std::move(directory)) {}

  std::string directory_;
  std::map<std::string, Block> blocks_;
};

}  // namespace paddock::supervisor
