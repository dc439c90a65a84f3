#include "policies/php_section.h"

#include <algorithm>

#include "base/log.h"

namespace paddock::policies {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "8.2": as Debian names PHP's packages and directories.
bool is_version(std::string_view name) {
  const auto point = name.find('.');
  return point != std::string_view::npos && is_number(name.substr(0, point)) &&
         is_number(name.substr(point + 1));
}

}  // namespace

Php Config::php(const std::string &name) const {
  const auto declared = phps.find(name);
  Php php = declared == phps.end() ? Php{} : declared->second;
  php.name = name;
  if (php.ini_dir.empty() && name == runtime.php) php.ini_dir = runtime.php_ini_dir;
  if (php.ini_dir.empty()) php.ini_dir = "/etc/php/" + name + "/embed";
  return php;
}

std::set<Php> Config::phps_in_use() const {
  std::set<Php> used = {default_php()};
  for (const auto &[name, tenant] : tenants) used.insert(php_of(*tenant));
  return used;
}

void read_php(Section &section, const Machine &machine, Php &php) {
  if (const auto program = section.path("program")) {
    php.program = *program;
    if (!machine.exists(php.program)) section.warn("program", "there is no " + log::quoted(php.program));
  }
  if (const auto directory = section.path("ini_dir")) {
    php.ini_dir = *directory;
    if (!machine.exists(php.ini_dir)) section.warn("ini_dir", "there is no " + log::quoted(php.ini_dir));
  }
  // TOML takes [php.8.4] for a table "4" in a table "8".
  if (is_number(php.name) && section.size() == 1 && php.program.empty() && php.ini_dir.empty())
    section.fail("", "a point within a name needs quotes", "[php.\"8.4\"]");
  else
    section.finish();
}

bool is_php(const Config &config, const std::string &name) {
  return is_version(name) || config.phps.contains(name);
}

void check_php(Section &section, const Config &config, const std::string &name) {
  if (section.find("php") == nullptr || is_php(config, name)) return;
  std::vector<std::string> names;
  for (const auto &[known, php] : config.phps) names.push_back(known);
  section.fail("php", "there is no PHP " + log::quoted(name, 64),
               "a version as \"8.2\", or the name of a [php.NAME]", {}, nearest_of(name, names));
}

}  // namespace paddock::policies
