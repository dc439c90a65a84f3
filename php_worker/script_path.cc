#include "php_worker/script_path.h"

#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <optional>

namespace paddock::php_worker {
namespace {

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && ::strncasecmp(text.data(), prefix.data(), prefix.size()) == 0;
}

// Whether the calling process may read the file; the mode answers for its owner without a system call.
bool readable(const char *path, const struct stat &status) {
  static const uid_t uid = ::geteuid();
  if (status.st_uid == uid && (status.st_mode & S_IRUSR) != 0) return true;
  return ::faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
}

void keep_original(Params &params, std::string_view name, std::string_view original, std::string_view value) {
  if (const char *now = params.find(name); now != nullptr && value != now)
    params.set(original, std::string(now));
  params.set(name, value);
}

// %XX of a URL's path (RFC 3986, 2.1); what is no such code stays.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 1] + 2, byte, 16).ptr == &text[i + 1] + 2) {
      decoded += static_cast<char>(byte);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

// `text` without `end`, if something is left of it.
std::optional<std::string> without(std::string_view text, std::string_view end) {
  if (end.empty() || text.size() <= end.size() || !text.ends_with(end)) return {};
  return std::string(text.substr(0, text.size() - end.size()));
}

// SCRIPT_FILENAME was `script` followed by `path_info`: tells the other variables.
void split_path_info(Params &params, const std::string &script, const std::string &path_info) {
  keep_original(params, "SCRIPT_FILENAME", "ORIG_SCRIPT_FILENAME", script);
  if (path_info.empty()) return;
  const std::string_view sent = params.get("SCRIPT_NAME");
  // Behind a balancer Apache gives the whole path as PATH_INFO, and an empty SCRIPT_NAME. With ProxyPass
  // SCRIPT_NAME has the path behind the script too, decoded, and SCRIPT_FILENAME has it as it was sent.
  std::optional<std::string> script_name = without(sent.empty() ? params.get("PATH_INFO") : sent, path_info);
  if (!script_name) script_name = without(sent, percent_decoded(path_info));
  if (script_name) keep_original(params, "SCRIPT_NAME", "ORIG_SCRIPT_NAME", *script_name);
  keep_original(params, "PATH_INFO", "ORIG_PATH_INFO", path_info);
  if (const char *root = params.find("DOCUMENT_ROOT"); root != nullptr)
    keep_original(params, "PATH_TRANSLATED", "ORIG_PATH_TRANSLATED", root + path_info);
}

Script judge(const char *path, const struct stat &status) {
  if (S_ISDIR(status.st_mode)) return {Script::Outcome::kForbidden, path, status};
  if (!S_ISREG(status.st_mode)) return {Script::Outcome::kMissing, path, status};
  if (!readable(path, status)) return {Script::Outcome::kForbidden, path, status};
  return {Script::Outcome::kFound, path, status};
}

}  // namespace

std::string_view strip_proxy_prefix(std::string_view filename) {
  static constexpr std::string_view kProxy = "proxy:";
  if (!starts_with_ignoring_case(filename, kProxy)) return filename;
  std::string_view rest = filename.substr(kProxy.size());
  if (starts_with_ignoring_case(rest, "unix:"))
    if (const auto bar = rest.find('|'); bar != std::string_view::npos) rest.remove_prefix(bar + 1);
  if (const auto scheme = rest.find("://"); scheme != std::string_view::npos) rest.remove_prefix(scheme + 3);
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos) return filename;
  rest.remove_prefix(slash);
  return rest.substr(0, rest.find('?'));
}

Script locate_script(Params &params, ScriptRule rule, bool strip_proxy) {
  const auto filled = [&params](std::string_view name) {
    const char *value = params.find(name);
    return value == nullptr || *value == '\0' ? nullptr : value;
  };
  const char *sent = filled("SCRIPT_FILENAME");
  if (sent != nullptr && strip_proxy)
    if (const std::string_view stripped = strip_proxy_prefix(sent); stripped != sent)
      params.set("SCRIPT_FILENAME", std::string(stripped));
  const char *translated = filled("PATH_TRANSLATED");
  if (sent == nullptr && translated != nullptr && rule == ScriptRule::kSplit)
    params.set("SCRIPT_FILENAME", std::string(translated));
  const char *path = filled("SCRIPT_FILENAME");
  if (translated != nullptr && (path == nullptr || rule == ScriptRule::kTranslated)) path = translated;
  if (path == nullptr) return {};
  if (*path != '/') return {Script::Outcome::kMissing, path};

  struct stat status {};
  if (::stat(path, &status) == 0) return judge(path, status);
  if (errno == EACCES) return {Script::Outcome::kForbidden, path};
  // Only a path that goes on below a file can hide a PATH_INFO: the kernel says ENOTDIR then
  // (path_resolution(7)), or ENAMETOOLONG before it has looked.
  if (rule != ScriptRule::kSplit || (errno != ENOTDIR && errno != ENAMETOOLONG))
    return {Script::Outcome::kMissing, path};
  const std::string whole(path);
  for (auto slash = whole.rfind('/'); slash != std::string::npos && slash > 0;
       slash = whole.rfind('/', slash - 1)) {
    if (slash >= PATH_MAX) continue;
    const std::string head = whole.substr(0, slash);
    if (::stat(head.c_str(), &status) != 0) continue;
    if (!S_ISREG(status.st_mode)) break;
    split_path_info(params, head, whole.substr(slash));
    return judge(params.find("SCRIPT_FILENAME"), status);
  }
  return {Script::Outcome::kMissing, path};
}

bool extension_allowed(std::string_view path, std::string_view extensions) {
  bool any = false;
  while (!extensions.empty()) {
    const auto space = std::min(extensions.find(' '), extensions.size());
    const std::string_view extension = extensions.substr(0, space);
    extensions.remove_prefix(std::min(space + 1, extensions.size()));
    if (extension.empty()) continue;
    any = true;
    if (path.ends_with(extension)) return true;
  }
  return !any;
}

}  // namespace paddock::php_worker
