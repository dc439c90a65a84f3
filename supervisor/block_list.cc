#include "supervisor/block_list.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "base/file.h"

namespace paddock::supervisor {
namespace {

using std::chrono::system_clock;

// A file holds "<seconds since 1970, or 0>\n<reason>".
std::string to_text(const Block &block) {
  return std::to_string(block.until ? system_clock::to_time_t(*block.until) : 0) + "\n" + block.reason;
}

Result<Block> from_text(const std::string &text, const std::string &path) {
  const std::size_t line_end = text.find('\n');
  std::int64_t seconds = 0;
  if (line_end == std::string::npos ||
      std::from_chars(text.data(), text.data() + line_end, seconds).ptr != text.data() + line_end)
    return Error{path + ": not a block as Paddock writes them"};
  Block block{text.substr(line_end + 1), {}};
  if (seconds != 0) block.until = system_clock::from_time_t(seconds);
  return block;
}

}  // namespace

Result<BlockList> BlockList::load(const std::string &directory) {
  BlockList list(directory);
  PADDOCK_CHECK(make_directories(list.directory_, 0700));
  std::error_code error;
  for (const auto &entry : std::filesystem::directory_iterator(list.directory_, error)) {
    const std::string path = entry.path().string();
    if (path.ends_with(".new")) continue;  // a write that a crash cut off: it was never reported done
    PADDOCK_TRY(const std::string text, read_file(path));
    PADDOCK_TRY(Block block, from_text(text, path));
    list.blocks_.emplace(entry.path().filename().string(), std::move(block));
  }
  if (error) return Error{"list " + list.directory_ + ": " + error.message()};
  return list;
}

const Block *BlockList::find(const std::string &tenant) const {
  const auto found = blocks_.find(tenant);
  return found == blocks_.end() ? nullptr : &found->second;
}

Result<void> BlockList::set(const std::string &tenant, Block block) {
  PADDOCK_CHECK(replace_file(directory_ + "/" + tenant, to_text(block), 0600));
  blocks_[tenant] = std::move(block);
  return {};
}

Result<void> BlockList::clear(const std::string &tenant) {
  const std::string path = directory_ + "/" + tenant;
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errno_error("remove " + path);
  blocks_.erase(tenant);
  return {};
}

}  // namespace paddock::supervisor
