#include "php_worker/environment_repair.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "php_worker/script_path.h"

namespace paddock::php_worker {
namespace {

using zygote_link::Repair;

constexpr std::string_view kRedirected = "REDIRECT_";

// Said of the redirect itself, or of the request before it (RFC 3875, 4.1): a body that was read is not there
// again.
constexpr std::array<std::string_view, 26> kStays = {"STATUS",          "URL",
                                                     "ERROR_NOTES",     "SCRIPT_URL",
                                                     "SCRIPT_URI",      "CONTENT_LENGTH",
                                                     "CONTENT_TYPE",    "AUTH_TYPE",
                                                     "PATH_INFO",       "PATH_TRANSLATED",
                                                     "QUERY_STRING",    "REMOTE_ADDR",
                                                     "REMOTE_HOST",     "REMOTE_PORT",
                                                     "REQUEST_METHOD",  "REQUEST_URI",
                                                     "REQUEST_SCHEME",  "SCRIPT_NAME",
                                                     "SCRIPT_FILENAME", "DOCUMENT_ROOT",
                                                     "SERVER_NAME",     "SERVER_PORT",
                                                     "SERVER_PROTOCOL", "GATEWAY_INTERFACE",
                                                     "PHP_VALUE",       "PHP_ADMIN_VALUE"};

constexpr std::string_view kAuthorizationHeader = "HTTP_AUTHORIZATION";

bool comes_back(std::string_view name, std::uint32_t repairs) {
  if (name == kAuthorizationHeader) return (repairs & Repair::kAuthorization) != 0;
  return (repairs & Repair::kRedirect) != 0 && !name.empty() && !name.starts_with("HTTP_") &&
         !name.starts_with("CONTEXT_") && std::find(kStays.begin(), kStays.end(), name) == kStays.end();
}

void undo_redirects(Params &params, std::uint32_t repairs) {
  // Of REDIRECT_X and REDIRECT_REDIRECT_X, the one that was renamed less often is the newer.
  std::vector<std::pair<int, Params::Entry>> found;
  for (const Params::Entry &entry : params.entries()) {
    std::string_view name = entry.name;
    int times = 0;
    for (; name.starts_with(kRedirected); ++times) name.remove_prefix(kRedirected.size());
    if (times > 0 && comes_back(name, repairs)) found.push_back({times, {name, entry.value}});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto &a, const auto &b) { return a.first < b.first; });
  for (const auto &[times, entry] : found) {
    const char *now = params.find(entry.name);
    if (now == nullptr || (*now == '\0' && entry.name == kAuthorizationHeader))
      params.set(entry.name, std::string(entry.value));
  }
}

void tidy_path(Params &params, std::string_view name, std::uint32_t repairs) {
  const char *value = params.find(name);
  if (value == nullptr) return;
  std::string_view path(value);
  if ((repairs & Repair::kProxyPrefix) != 0) path = strip_proxy_prefix(path);
  if ((repairs & Repair::kSlashes) == 0 || !path.starts_with('/') ||
      path.find("//") == std::string_view::npos) {
    if (path != value) params.set(name, std::string(path));
    return;
  }
  std::string tidy;
  for (const char c : path)
    if (c != '/' || !tidy.ends_with('/')) tidy += c;
  params.set(name, tidy);
}

}  // namespace

void repair_environment(Params &params, std::uint32_t repairs) {
  undo_redirects(params, repairs);
  tidy_path(params, "SCRIPT_FILENAME", repairs);
  tidy_path(params, "PATH_TRANSLATED", repairs);
}

}  // namespace paddock::php_worker
