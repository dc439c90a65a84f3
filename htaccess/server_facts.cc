#include "htaccess/server_facts.h"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdlib>

#include "htaccess/lines.h"

namespace paddock::htaccess {
namespace {

constexpr std::array kPhpNames = {"mod_php.c",  "mod_php5.c",  "mod_php7.c",
                                  "php_module", "php5_module", "php7_module"};

// Compiled into Debian's apache2, enabled by its package, or needed for the way to a sandbox.
constexpr std::array kUsual = {"core.c",          "mod_so.c",          "http_core.c",
                               "mod_version.c",   "mod_unixd.c",       "mod_log_config.c",
                               "mod_alias.c",     "mod_authz_core.c",  "mod_authz_host.c",
                               "mod_dir.c",       "mod_env.c",         "mod_mime.c",
                               "mod_setenvif.c",  "mod_proxy.c",       "mod_proxy_fcgi.c",
                               "core_module",     "so_module",         "http_module",
                               "version_module",  "unixd_module",      "log_config_module",
                               "alias_module",    "authz_core_module", "authz_host_module",
                               "dir_module",      "env_module",        "mime_module",
                               "setenvif_module", "proxy_module",      "proxy_fcgi_module"};

template <std::size_t N>
bool holds(const std::array<const char *, N> &names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr const char *kInvalidVersion =
    "Version appears to be invalid. It must have the format major[.minor[.patch]] where major, minor and "
    "patch "
    "are numbers.";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// major[.minor[.patch]]; a number that is not there is 0.
std::optional<std::array<int, 3>> parse_version(std::string_view text) {
  std::array<int, 3> version{};
  for (std::size_t part = 0; part < version.size(); ++part) {
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits == 0 && part == 0) return std::nullopt;
    // Long numbers are cut to what no version reaches.
    for (const char c : text.substr(0, std::min<std::size_t>(digits, 8)))
      version[part] = version[part] * 10 + (c - '0');
    text.remove_prefix(digits);
    if (text.empty()) return version;
    if (text.front() != '.') return std::nullopt;
    text.remove_prefix(1);
    if (text.empty()) return version;
  }
  return std::nullopt;
}

// The server's version against `wanted`; nullopt where only the unknown patch level would tell.
std::optional<std::strong_ordering> compare_version(const ServerVersion &server,
                                                    const std::array<int, 3> &wanted) {
  if (server.major != wanted[0]) return server.major <=> wanted[0];
  if (server.minor != wanted[1]) return server.minor <=> wanted[1];
  if (!server.patch) return std::nullopt;
  return *server.patch <=> wanted[2];
}

}  // namespace

Decision module_is_loaded(const ServerFacts &facts, std::string_view name) {
  if (holds(kPhpNames, name)) return true;
  // Every other generation of PHP: Paddock is none of them.
  if (name.starts_with("mod_php") || (name.starts_with("php") && name.ends_with("_module"))) return false;
  if (facts.modules) return facts.modules->contains(std::string(name));
  if (holds(kUsual, name)) return true;
  return std::nullopt;
}

Result<Decision> version_matches(const ServerFacts &facts, std::string_view arguments) {
  std::string first = next_word(arguments);
  std::string second = next_word(arguments);
  std::string third = next_word(arguments);
  if (first.empty() || !arguments.empty())
    return Error{
        "<IfVersion takes one, two or three arguments, a comparison operator, a version (and a delimiter)"};
  if (second.empty()) {
    second = first;
    first = "=";
  }
  if (third.empty() && second == ">") {
    third = ">";
    second = first;
    first = "=";
  }
  if (third != ">") {
    if (second.empty() || second.back() != '>') return Error{"<IfVersion> directive missing closing '>'"};
    second.pop_back();
  } else if (second.empty()) {
    return Error{"<IfVersion> directive missing closing '>'"};
  }

  std::string_view op = first;
  const bool reverse = op.size() > 1 && op.front() == '!';
  if (reverse) op.remove_prefix(1);
  const bool or_equal = op.size() == 2 && op[1] == '=' && op[0] != '~';
  const bool known = !op.empty() && (op.size() == 1 || or_equal) &&
                     std::string_view("=~<>").find(op[0]) != std::string_view::npos;
  if (!known) return Error{"unrecognized operator '" + first + "'"};
  // A regular expression sees the patch level and the vendor's suffix, which are not known here.
  if (op[0] == '~') return Decision();
  if (op[0] == '=' && second.starts_with('/')) {
    if (second.size() < 2 || second.back() != '/')
      return Error{"Missing delimiting / of regular expression."};
    return Decision();
  }
  const auto wanted = parse_version(second);
  if (!wanted) return Error{kInvalidVersion};
  const auto order = compare_version(facts.version, *wanted);
  Decision result;
  if (order) {
    if (op[0] == '=') result = *order == 0;
    if (op[0] == '<') result = *order < 0 || (or_equal && *order == 0);
    if (op[0] == '>') result = *order > 0 || (or_equal && *order == 0);
  } else if ((*wanted)[2] == 0) {
    // Whatever the patch level is, it is not below 0.
    if (op == ">=") result = true;
    if (op == "<") result = false;
  }
  if (result && reverse) result = !*result;
  return result;
}

std::string resolve_defines(const ServerFacts &facts, std::string_view line, bool &unknown) {
  unknown = false;
  std::string resolved;
  for (;;) {
    const std::size_t start = line.find("${");
    const std::size_t end = start == std::string_view::npos ? start : line.find('}', start);
    if (end == std::string_view::npos) break;
    const std::string_view name = line.substr(start + 2, end - start - 2);
    const auto found = facts.defines.find(std::string(name));
    resolved += line.substr(0, start);
    if (found != facts.defines.end()) {
      resolved += found->second;
    } else {
      resolved += line.substr(start, end - start + 1);
      unknown = true;
    }
    line.remove_prefix(end + 1);
  }
  resolved += line;
  return resolved;
}

}  // namespace paddock::htaccess
