#include "php_worker/htaccess_settings.h"

#include <filesystem>
#include <optional>
#include <string>

#include "htaccess/htaccess_cache.h"
#include "php_worker/php_headers.h"
#include "php_worker/sapi.h"

namespace paddock::php_worker {
namespace {

// Both outlive every longjmp(3) of PHP's.
std::optional<htaccess::HtaccessCache> cache;
htaccess::Settings held;

std::string_view without_slashes_behind(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool is_above(std::string_view directory, std::string_view script) {
  return script.size() > directory.size() && script.starts_with(directory) && script[directory.size()] == '/';
}

// A document root may be written with "." and ".." in it (nginx takes it as it is); Apache's never is.
bool is_plain(std::string_view path) {
  return path.find("/./") == std::string_view::npos && path.find("/../") == std::string_view::npos &&
         !path.ends_with("/.") && !path.ends_with("/..");
}

Result<htaccess::Settings> look_up(const Params &params, std::string_view script) {
  const htaccess::Request request{[&params](std::string_view name) -> std::optional<std::string_view> {
    const char *value = params.find(name);
    return value == nullptr ? std::nullopt : std::optional<std::string_view>(value);
  }};
  const std::string_view root = htaccess_root(params, script);
  if (!cache) cache.emplace();
  if (is_plain(script)) return cache->settings(root.empty() ? "/" : root, script, request);
  const std::string plain_script = std::filesystem::path(script).lexically_normal();
  const std::string plain_root = std::filesystem::path(root).lexically_normal();
  return cache->settings(plain_root.empty() ? "/" : plain_root, plain_script, request);
}

}  // namespace

std::string_view htaccess_root(const Params &params, std::string_view script) {
  std::optional<std::string_view> root;
  for (const char *name : {"DOCUMENT_ROOT", "CONTEXT_DOCUMENT_ROOT"}) {
    const char *value = params.find(name);
    if (value == nullptr || *value != '/') continue;
    const std::string_view directory = without_slashes_behind(value);
    if (is_above(directory, script) && (!root || directory.size() < root->size())) root = directory;
  }
  return root ? *root : script.substr(0, script.rfind('/'));
}

HtaccessVerdict read_htaccess(const Params &params, const char *script) {
  auto found = look_up(params, script);
  if (!found) {
    const Error &error = found.error();
    held = {};
    // Code 0: the file's text, with file and line in front.
    log_line(error.code == 0 ? "broken .htaccess" : "unusable .htaccess", error.message());
    return error.code == 0 ? HtaccessVerdict::kBroken : HtaccessVerdict::kForbidden;
  }
  held = std::move(*found);
  for (const htaccess::Diagnostic &diagnostic : held.diagnostics)
    log_line(".htaccess", diagnostic.to_string());
  return HtaccessVerdict::kServe;
}

void apply_htaccess() {
  for (const htaccess::Setting &setting : held.values.items()) {
    zend_string *name = zend_string_init(setting.name.data(), setting.name.size(), false);
    zend_alter_ini_entry_chars(name, setting.value.data(), setting.value.size(), PHP_INI_PERDIR,
                               PHP_INI_STAGE_HTACCESS);
    zend_string_release(name);
  }
}

void forget_htaccess() {
  held = {};
}

}  // namespace paddock::php_worker
