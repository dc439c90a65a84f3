#include "htaccess/htaccess_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <utility>

#include "base/file.h"
#include "base/unique_fd.h"

namespace paddock::htaccess {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// The coarsest clock that a file system in use stamps its files with, and as much again for one that runs
// apart from ours.
constexpr std::int64_t kAge = 2 * kSecond;

std::int64_t nanoseconds(const timespec &time) {
  return time.tv_sec * kSecond + time.tv_nsec;
}

std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return nanoseconds(time);
}

bool is_plain(std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return false;
  for (const std::string_view bad : {"/./", "/../"})
    if (path.find(bad) != std::string_view::npos) return false;
  return !path.ends_with("/.") && !path.ends_with("/..");
}

// `path` itself where it has no "//", which is nearly always; else without them, kept in `buffer`.
std::string_view without_double_slashes(std::string_view path, std::string &buffer) {
  if (path.find("//") == std::string_view::npos) return path;
  buffer.clear();
  for (const char c : path)
    if (c != '/' || !buffer.ends_with('/')) buffer += c;
  return buffer;
}

}  // namespace

struct HtaccessCache::Contents {
  bool exists = false;
  Identity identity;
  bool aged = false;
  std::string text;
};

HtaccessCache::HtaccessCache(ServerFacts facts, CacheOptions options)
    : facts_(std::move(facts)), options_(options), chains_(options.max_watches) {}

HtaccessCache::Identity HtaccessCache::identity_of(const struct stat &status) {
  return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
}

Result<HtaccessCache::Contents> HtaccessCache::read(const std::string &path) const {
  Contents contents;
  const std::int64_t before = now();
  // O_NONBLOCK: where a FIFO has taken the file's place since it was seen, opening it does not wait for a
  // writer.
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    if (fd.error().code == ENOENT || fd.error().code == ENOTDIR) return contents;
    return std::move(fd).error();
  }
  struct stat status {};
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (::fstat(fd->get(), &status) != 0) return errno_error("stat " + path);
    if (!S_ISREG(status.st_mode)) return errno_error(path + " is not a regular file", EPERM);
    contents.identity = identity_of(status);
    if (::lseek(fd->get(), 0, SEEK_SET) < 0) return errno_error("seek in " + path);
    auto text = read_all(*fd, options_.max_file_size);
    if (!text) return errno_error("read " + path, text.error().code);
    contents.text = std::move(*text);
    if (::fstat(fd->get(), &status) != 0) return errno_error("stat " + path);
    // One that is being written: what was read may be half of each.
    if (identity_of(status) == contents.identity) break;
    contents.identity = identity_of(status);
  }
  contents.exists = true;
  contents.aged = contents.identity.changed + kAge <= before;
  return contents;
}

void HtaccessCache::make_room() {
  // The newest stays, whatever its size: it is about to be used.
  while (entries_.size() > 1 && (entries_.size() > options_.max_files || bytes_ > options_.max_bytes)) {
    bytes_ -= entries_.back().text.size();
    index_.erase(entries_.back().path);
    entries_.pop_back();
  }
}

Result<HtaccessCache::Entry *> HtaccessCache::look_up(const std::string &path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return nullptr;
    return errno_error("unable to check htaccess file " + path);
  }
  // Before it is opened: opening some devices does something.
  if (!S_ISREG(status.st_mode)) return errno_error(path + " is not a regular file", EPERM);
  const auto known = index_.find(path);
  if (known != index_.end()) {
    entries_.splice(entries_.begin(), entries_, known->second);
    if (known->second->aged && known->second->identity == identity_of(status)) return &entries_.front();
  }
  PADDOCK_TRY(Contents contents, read(path));
  if (!contents.exists) return nullptr;
  if (known != index_.end()) {
    Entry &entry = entries_.front();
    entry.identity = contents.identity;
    entry.aged = contents.aged;
    if (entry.text == contents.text) return &entry;
    bytes_ -= entry.text.size();
    index_.erase(entry.path);
    entries_.pop_front();
  }
  auto document = parse_document(contents.text, path, facts_);
  bytes_ += contents.text.size();
  entries_.push_front(
      {path, contents.identity, contents.aged, std::move(contents.text), std::move(document), false});
  index_.emplace(entries_.front().path, entries_.begin());
  return &entries_.front();
}

Result<Settings> HtaccessCache::settings(std::string_view document_root, std::string_view script,
                                         const Request &request) {
  const std::string_view root = without_double_slashes(document_root, root_);
  const std::string_view path = without_double_slashes(script, script_);
  const std::size_t top = root.ends_with('/') ? root.size() - 1 : root.size();
  const bool below = path.size() > top && path[top] == '/' && path.starts_with(root.substr(0, top));
  if (!below || !is_plain(path))
    return errno_error(
        "look for .htaccess of " + std::string(script) + " below " + std::string(document_root), EINVAL);
  make_room();
  found_.clear();
  std::vector<Diagnostic> diagnostics;
  const std::string_view directory = path.substr(0, path.rfind('/'));
  for (const std::string &file : chains_.files(directory, options_.above_document_root ? 0 : top)) {
    PADDOCK_TRY(Entry *const entry, look_up(file));
    if (entry == nullptr) continue;
    if (!entry->document) return entry->document.error();
    if (!std::exchange(entry->reported, true))
      diagnostics.insert(diagnostics.end(), entry->document->diagnostics.begin(),
                         entry->document->diagnostics.end());
    found_.push_back(&*entry->document);
  }
  if (found_.empty()) return Settings();
  Settings settings = merge(found_, {request, script, document_root});
  settings.diagnostics.insert(settings.diagnostics.begin(), diagnostics.begin(), diagnostics.end());
  return settings;
}

}  // namespace paddock::htaccess
