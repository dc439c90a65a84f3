// Which tenants the admin has blocked, why and until when; one small file each in state_dir/blocks, so that a
// block survives restarts and crashes.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace paddock::supervisor {

struct Block {
  std::string reason;
  std::optional<std::chrono::system_clock::time_point> until;  // absent: until it is lifted
};

class BlockList {
 public:
  // Reads what a run before has left. A file that cannot be read is an error: a block is not to be lifted by
  // accident.
  [[nodiscard]] static Result<BlockList> load(const std::string &state_dir);

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
