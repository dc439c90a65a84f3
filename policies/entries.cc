#include "policies/entries.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/log.h"

namespace paddock::policies {
namespace {

constexpr std::size_t kLongestIniName = 128;
constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kMostBinds = 64;  // a message carries a descriptor for each (MessageSocket::kMaxFds)

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

bool is_ini_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestIniName && std::all_of(name.begin(), name.end(), [](char c) {
    return is_lower_or_digit(c) || is_upper(c) || c == '_' || c == '.' || c == '-';
  });
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

// A scalar as php.ini would have it; nullopt: not a scalar, or a text that cannot be a value.
std::optional<std::string> scalar_text(const Value &value) {
  if (const auto *text = value.as<std::string>()) {
    if (has_control_character(*text) || text->size() > kLongestText) return std::nullopt;
    return *text;
  }
  if (const auto *number = value.as<std::int64_t>()) return std::to_string(*number);
  if (const auto *boolean = value.as<bool>()) return *boolean ? "1" : "0";
  if (const auto *number = value.as<double>()) {
    std::array<char, 32> digits{};
    const auto [end, failure] = std::to_chars(digits.data(), digits.data() + digits.size(), *number);
    if (failure == std::errc{}) return std::string(digits.data(), end);
  }
  return std::nullopt;
}

// TOML reads `opcache.enable = 1` as a table "opcache" with a key "enable"; php.ini means one name.
void read_ini_table(Section &section, const Table &table, const std::string &prefix, bool admin,
                    std::vector<IniEntry> &fresh) {
  for (const auto &entry : table) {
    const std::string name = prefix + entry.key;
    if (const auto *inner = entry.value.as<Table>()) {
      read_ini_table(section, *inner, name + ".", admin, fresh);
      continue;
    }
    const auto value = scalar_text(entry.value);
    if (!is_ini_name(name)) {
      section.fail_at(entry.where, name, "not the name of a php.ini directive",
                      "letters, digits, '.', '_' and '-'");
    } else if (!value) {
      section.fail_at(entry.value.where, name, "wrong value",
                      "a string without control characters, a number, true or false", entry.value.describe());
    } else if (std::any_of(fresh.begin(), fresh.end(),
                           [&](const IniEntry &other) { return other.name == name; })) {
      section.fail_at(entry.where, name, "set twice");
    } else {
      fresh.push_back({name, *value, admin});
    }
  }
}

bool is_same_or_below(std::string_view path, std::string_view directory) {
  if (directory == "/") return true;
  return path.substr(0, directory.size()) == directory &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

// What the view itself puts there: a bind over it would break or open the sandbox.
std::string forbidden_target(const std::string &target) {
  for (const char *whole : {"/proc", "/sys", "/dev/pts", "/dev/shm"})
    if (is_same_or_below(target, whole)) return whole;
  for (const char *exact : {"/", "/bin", "/dev", "/etc", "/lib", "/lib64", "/sbin", "/tmp", "/usr"})
    if (target == exact) return exact;
  return {};
}

void read_bind(Section section, const std::vector<std::string> &hidden, const Machine &machine,
               std::vector<Bind> &binds, std::string *problem) {
  Bind bind;
  bind.where = section.location();
  const auto source = section.path("source");
  const auto target = section.path("target");
  const auto read = [&section](std::string_view key, bool &to) {
    if (const auto value = section.boolean(key)) to = *value;
  };
  read("writable", bind.writable);
  read("noexec", bind.noexec);
  read("nosuid", bind.nosuid);
  read("nodev", bind.nodev);
  read("optional", bind.optional);
  section.finish();
  if (!source) {
    if (section.find("source") == nullptr) section.fail("source", "missing", "the path on the host");
    return;
  }
  if (target == std::nullopt && section.find("target") != nullptr) return;
  bind.source = *source;
  bind.target = target.value_or(*source);
  for (const auto &directory : hidden) {
    if (!is_same_or_below(bind.source, directory) && !is_same_or_below(directory, bind.source)) continue;
    section.fail("source", "would show " + log::quoted(directory) + " to the sandbox");
    return;
  }
  if (const std::string taken = forbidden_target(bind.target); !taken.empty()) {
    section.fail(target ? "target" : "source", "would cover " + log::quoted(taken) + " of the view",
                 "a target that the view does not make itself");
    return;
  }
  if (!bind.optional && !machine.exists(bind.source)) {
    const std::string what = "there is no " + log::quoted(bind.source) + " on this machine";
    if (problem == nullptr) {
      section.fail("source", what, "a path that is there, or optional = true");
      return;
    }
    section.warn("source", what);
    *problem = "bind: " + what;
  }
  std::erase_if(binds, [&](const Bind &other) { return other.target == bind.target; });
  binds.push_back(std::move(bind));
}

}  // namespace

void read_ini(Section &section, std::vector<IniEntry> &ini) {
  for (const bool admin : {false, true}) {
    const std::string_view key = admin ? "php_admin_value" : "php_value";
    const Table *table = section.table(key);
    if (table == nullptr) continue;
    Section inner = section.inside(key, *table, section.position_of(key));
    std::vector<IniEntry> fresh;
    read_ini_table(inner, *table, "", admin, fresh);
    for (auto &entry : fresh) {
      std::erase_if(ini,
                    [&](const IniEntry &other) { return other.name == entry.name && other.admin == admin; });
      ini.push_back(std::move(entry));
    }
  }
}

void read_environment(Section &section, std::vector<std::string> &environment) {
  const Table *table = section.table("env");
  if (table == nullptr) return;
  Section inner = section.inside("env", *table, section.position_of("env"));
  for (const auto &entry : *table) {
    const auto value = scalar_text(entry.value);
    if (!is_variable_name(entry.key)) {
      inner.fail_at(entry.where, entry.key, "not the name of an environment variable",
                    "letters, digits and '_', not beginning with a digit");
    } else if (!value) {
      inner.fail_at(entry.value.where, entry.key, "wrong value",
                    "a string without control characters, a number, true or false", entry.value.describe());
    } else {
      const std::string assignment = entry.key + "=";
      std::erase_if(environment, [&](const std::string &other) { return other.starts_with(assignment); });
      environment.push_back(assignment + *value);
    }
  }
}

void read_binds(Section &section, const std::vector<std::string> &hidden, const Machine &machine,
                std::vector<Bind> &binds, std::string *problem) {
  for (const Value *value : section.tables("bind"))
    read_bind(section.inside("bind", *value->as<Table>(), value->where), hidden, machine, binds, problem);
  if (binds.size() > kMostBinds)
    section.fail("bind", "more than " + std::to_string(kMostBinds) + " binds", "a directory above them");
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestIniName && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_lower_or_digit(c) || is_upper(c) || c == '_'; });
}

bool is_valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && is_lower_or_digit(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_lower_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace paddock::policies
