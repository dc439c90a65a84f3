// The settings that .htaccess files give a script, from files that are read once and checked at every
// request.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "htaccess/directory_chain.h"
#include "htaccess/document.h"
#include "htaccess/request.h"
#include "htaccess/settings.h"

struct stat;

namespace paddock::htaccess {

struct CacheOptions {
  // A larger .htaccess is refused.
  std::size_t max_file_size = 1 << 20;
  // What is kept: that many files with that many bytes of text together; the least recently used go first.
  std::size_t max_files = 512;
  std::size_t max_bytes = 4 << 20;
  // Directories that are watched at once, about 1 KiB of the kernel's memory each.
  int max_watches = 4096;
  // Directories above the document root are looked at too, from "/" (AllowOverride set for <Directory />).
  bool above_document_root = false;
};

// Not thread-safe: one for each worker.
class HtaccessCache {
 public:
  explicit HtaccessCache(ServerFacts facts = {}, CacheOptions options = {});

  // What the .htaccess files of each directory from `document_root` down to that of `script` say for the
  // script. Both paths are absolute, without "." and ".."; `script` is below `document_root`, and symlinks in
  // it are left as they are, as Apache leaves them.
  //
  // That a directory has no .htaccess is remembered as long as DirectoryChains knows it to be so: one read(2)
  // and one statx(2), however many there are; where that cannot be known (NFS, FUSE, no inotify instance
  // left), one stat(2) for each directory. Each .htaccess that exists costs one stat(2): a cached file is
  // used while device, inode, size, mtime and ctime are what they were; one whose ctime was younger than the
  // file system's clock can tell apart when it was read is read again, and compared, until it has aged. So no
  // change that happened before the call is ever missed, except a write through mmap(2), which does not touch
  // the times until it is written back, and what a network file system's own attribute cache hides.
  //
  // The first call makes an inotify instance: call it in the process that serves, not before a fork.
  //
  // Errors, which are Apache's: code 0: the file's syntax; `attempt` is "FILE:LINE: …", and Apache answers
  // 500. Any other code: the file cannot be read (EACCES, ELOOP, not a regular file, EFBIG), or the paths are
  // not as above; Apache answers 403, to be safe. Never blocks on a FIFO.
  [[nodiscard]] Result<Settings> settings(std::string_view document_root, std::string_view script,
                                          const Request &request);

  // What is kept at the moment.
  [[nodiscard]] std::size_t files() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  // That the file is still the one that was read. Nanoseconds since the epoch.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t modified = 0;
    std::int64_t changed = 0;
    bool operator==(const Identity &) const = default;
  };
  struct Entry {
    std::string path;
    Identity identity;
    bool aged = false;  // no later write can have left the identity as it is
    std::string text;
    Result<Document> document;
    bool reported = false;  // the document's own diagnostics
  };
  using Entries = std::list<Entry>;
  struct Contents;

  static Identity identity_of(const struct stat &status);
  // nullptr: there is no such file. The pointer is good until the next call of settings().
  Result<Entry *> look_up(const std::string &path);
  Result<Contents> read(const std::string &path) const;
  void make_room();

  ServerFacts facts_;
  CacheOptions options_;
  Entries entries_;  // most recently used first
  std::unordered_map<std::string_view, Entries::iterator> index_;
  std::size_t bytes_ = 0;
  DirectoryChains chains_;
  // Kept from call to call for their memory.
  std::string root_;
  std::string script_;
  std::vector<const Document *> found_;
};

}  // namespace paddock::htaccess
