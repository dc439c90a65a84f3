#include "php_worker/user_ini.h"

#include <ctime>
#include <map>
#include <string>
#include <string_view>

#include "php_worker/php_headers.h"

namespace paddock::php_worker {
namespace {

// A directory's file as it was read; an empty table where there is none. Lives as long as the worker.
struct Cached {
  HashTable *entries = nullptr;
  std::time_t expires = 0;
};

// Beyond so many directories the cache starts over: a site that makes directories must not grow its workers
// without end.
constexpr std::size_t kMostDirectories = 1024;

std::map<std::string, Cached, std::less<>> &cache() {
  static std::map<std::string, Cached, std::less<>> directories;
  return directories;
}

void destroy_entry(zval *entry) {
  if (Z_TYPE_P(entry) == IS_STRING) zend_string_release_ex(Z_STR_P(entry), true);
}

void free_table(HashTable *table) {
  if (table == nullptr) return;
  zend_hash_destroy(table);
  pefree(table, 1);
}

// The parser writes persistent entries. With a request's table they would outlive it unowned.
HashTable *read_directory(const std::string &directory) {
  auto *table = static_cast<HashTable *>(pemalloc(sizeof(HashTable), 1));
  zend_hash_init(table, 8, nullptr, destroy_entry, 1);
  php_parse_user_ini_file(directory.c_str(), PG(user_ini_filename), table);
  return table;
}

void apply_directory(std::string_view directory) {
  auto &directories = cache();
  const std::time_t now = std::time(nullptr);
  auto found = directories.find(directory);
  if (found == directories.end()) {
    if (directories.size() >= kMostDirectories) {
      for (auto &[name, cached] : directories) free_table(cached.entries);
      directories.clear();
    }
    found = directories.emplace(std::string(directory), Cached{}).first;
  }
  Cached &cached = found->second;
  if (cached.entries == nullptr || now >= cached.expires) {
    free_table(cached.entries);
    cached.entries = read_directory(found->first);
    cached.expires = now + PG(user_ini_cache_ttl);
  }
  if (zend_hash_num_elements(cached.entries) != 0)
    php_ini_activate_config(cached.entries, PHP_INI_PERDIR, PHP_INI_STAGE_HTACCESS);
}

}  // namespace

void apply_user_ini(const char *document_root, const char *script) {
  if (PG(user_ini_filename) == nullptr || *PG(user_ini_filename) == '\0') return;
  const std::string_view path(script);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return;
  const std::string_view last = path.substr(0, slash);
  std::string_view root = document_root == nullptr ? std::string_view() : std::string_view(document_root);
  while (root.ends_with('/')) root.remove_suffix(1);
  const bool below =
      !root.empty() && last.starts_with(root) && (last.size() == root.size() || last[root.size()] == '/');
  if (!below) return apply_directory(last);
  for (std::size_t end = root.size();; end = path.find('/', end + 1)) {
    apply_directory(path.substr(0, end));
    if (end >= last.size()) return;
  }
}

}  // namespace paddock::php_worker
