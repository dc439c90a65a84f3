// What the admin's config says for a directory: our directives, merged by Apache's rules.
//
// Plain structures in Apache's pools: httpd copies, merges and drops them without running destructors.
#pragma once

#include "apache/apache.h"

namespace paddock::apache {

enum class Source { kUnset, kNone, kName, kOwner, kMap, kEnvironment };

struct DirSettings {
  Source source = Source::kUnset;
  const char *tenant = nullptr;              // kName: the tenant; kEnvironment: the variable
  apr_hash_t *map = nullptr;                 // kMap: host name in lower case -> tenant
  apr_array_header_t *extensions = nullptr;  // const char *, with the dot
  int suspend_after_ms = -1;                 // -1: unset
  int timeout_s = -1;                        // -1: unset
  int restore_environment = -1;              // -1: unset
  apr_hash_t *php = nullptr;                 // name -> PhpSetting (php_directives.h)
};

inline constexpr int kNeverSuspend = 1 << 30;
inline constexpr int kDefaultSuspendMs = 10;
inline constexpr int kDefaultTimeout = 360;  // seconds: beyond a plan's default deadline

struct ServerSettings {
  const char *config_file = nullptr;
  int limit = 0;         // requests at once in all of Apache; 0: no limit
  int tenant_limit = 0;  // of one tenant; 0: no limit
};

[[nodiscard]] const DirSettings &dir_settings(const request_rec *r);
// The main server's: there is one Paddock behind an Apache.
[[nodiscard]] ServerSettings &server_settings(server_rec *main_server);

void *create_dir_settings(apr_pool_t *pool, char *);
void *merge_dir_settings(apr_pool_t *pool, void *base, void *add);
void *create_server_settings(apr_pool_t *pool, server_rec *);
// An array that ends in an entry without a name, as httpd wants it.
[[nodiscard]] const command_rec *commands();

}  // namespace paddock::apache
