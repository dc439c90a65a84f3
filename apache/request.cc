#include "apache/request.h"

#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "apache/php_directives.h"
#include "apache/settings.h"
#include "protocols/fastcgi/exchange.h"
#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/record.h"
#include "protocols/fastcgi/settings.h"

namespace paddock::apache {
namespace {

constexpr std::string_view kRenamed = "REDIRECT_";

// Names that Apache itself gives to a redirect, about the request before: they mean something as they are.
bool is_about_redirects(std::string_view name) {
  static const std::set<std::string_view> kNames = {"STATUS", "URL", "QUERY_STRING", "ERROR_NOTES",
                                                    "HANDLER"};
  return kNames.contains(name);
}

// What the request in hand has set for itself, or what must come from its own headers only.
// HTTP_AUTHORIZATION is the one that sites have always made themselves
// ([E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]).
bool is_of_the_request(std::string_view name) {
  if (name == "HTTP_AUTHORIZATION" || name == "REMOTE_USER") return false;
  return name.starts_with("HTTP_") || name.starts_with("REQUEST_") || name.starts_with("SCRIPT_") ||
         name.starts_with("SERVER_") || name.starts_with("REMOTE_") || name.starts_with("CONTENT_") ||
         name.starts_with("PATH_") || name == "GATEWAY_INTERFACE" || name == "DOCUMENT_ROOT" ||
         name.starts_with("CONTEXT_");
}

}  // namespace

void restore_environment(request_rec *r) {
  struct Renamed {
    std::size_t times = 0;
    const char *value = nullptr;
  };
  std::map<std::string_view, Renamed> restored;
  const apr_array_header_t *entries = apr_table_elts(r->subprocess_env);
  const auto *entry = reinterpret_cast<const apr_table_entry_t *>(entries->elts);
  for (int i = 0; i < entries->nelts; ++i) {
    if (entry[i].key == nullptr || entry[i].val == nullptr) continue;
    std::string_view name(entry[i].key);
    std::size_t times = 0;
    for (; name.starts_with(kRenamed); ++times) name.remove_prefix(kRenamed.size());
    if (times == 0 || name.empty() || is_about_redirects(name) || is_of_the_request(name)) continue;
    // Views of the table's own strings, which end in a NUL.
    Renamed &latest = restored[name];
    if (latest.times == 0 || times < latest.times) latest = {times, entry[i].val};
  }
  for (const auto &[name, renamed] : restored)
    if (apr_table_get(r->subprocess_env, name.data()) == nullptr)
      apr_table_setn(r->subprocess_env, name.data(), renamed.value);
}

std::string request_head(request_rec *r, const Body &body) {
  const DirSettings &settings = dir_settings(r);
  ap_add_common_vars(r);
  ap_add_cgi_vars(r);
  if (settings.restore_environment != 0) restore_environment(r);
  apr_table_t *environment = r->subprocess_env;
  // Under mod_php a script sees the credentials, whatever CGIPassAuth says.
  if (const char *credentials = apr_table_get(r->headers_in, "Authorization"); credentials != nullptr)
    apr_table_setn(environment, "HTTP_AUTHORIZATION", credentials);
  // The body is whole: a chunked one has got a length too.
  if (body.exists())
    apr_table_setn(environment, "CONTENT_LENGTH",
                   apr_psprintf(r->pool, "%" APR_UINT64_T_FMT, static_cast<apr_uint64_t>(body.size())));

  std::string params;
  params.reserve(4096);
  const apr_array_header_t *entries = apr_table_elts(environment);
  const auto *entry = reinterpret_cast<const apr_table_entry_t *>(entries->elts);
  for (int i = 0; i < entries->nelts; ++i) {
    if (entry[i].key == nullptr || entry[i].val == nullptr) continue;
    // These tell PHP-FPM to change settings, and anybody's SetEnv can make them.
    if (std::strcmp(entry[i].key, "PHP_VALUE") == 0 || std::strcmp(entry[i].key, "PHP_ADMIN_VALUE") == 0)
      continue;
    fastcgi::append_param(params, entry[i].key, entry[i].val);
  }

  std::string head;
  head.reserve(params.size() + 256);
  fastcgi::append_begin_request(head, fastcgi::Exchange::kRequestId, fastcgi::Role::kResponder, 0);
  fastcgi::append_settings_records(head, fastcgi::Exchange::kRequestId, encode_php(r->pool, settings.php));
  if (!params.empty())
    fastcgi::append_record(head, fastcgi::Type::kParams, fastcgi::Exchange::kRequestId, params);
  fastcgi::append_record(head, fastcgi::Type::kParams, fastcgi::Exchange::kRequestId, {});
  return head;
}

}  // namespace paddock::apache
