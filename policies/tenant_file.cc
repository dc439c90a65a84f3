#include "policies/tenant_file.h"

#include <fnmatch.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "policies/config_file.h"
#include "policies/tenant_section.h"

namespace paddock::policies {
namespace {

// The directory of a glob(7) pattern; empty: that is a pattern too.
std::string directory_of(const std::string &pattern) {
  const std::string directory = pattern.substr(0, pattern.rfind('/') + 1);
  std::string plain;
  for (std::size_t i = 0; i < directory.size(); ++i) {
    if (std::string_view("*?[").find(directory[i]) != std::string_view::npos) return {};
    if (directory[i] == '\\' && i + 1 < directory.size()) ++i;
    plain += directory[i];
  }
  return plain;
}

std::vector<std::string> files_that_may_declare(const Config &config, const std::string &name) {
  std::vector<std::string> files;
  if (const auto known = config.tenants.find(name); known != config.tenants.end())
    files.push_back(known->second->where.file);
  for (const std::string &pattern : config.includes) {
    const std::string directory = directory_of(pattern);
    const std::string file = directory + name + ".toml";
    if (directory.empty() || ::fnmatch(pattern.c_str(), file.c_str(), FNM_PATHNAME | FNM_PERIOD) != 0)
      continue;
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }
  return files;
}

// A rule may name no tenant that there is not.
void check_rules(const Config &config, const std::string &name, std::vector<Diagnostic> &diagnostics) {
  for (const auto &[rule, entry] : config.rules) {
    const auto &tenants = entry.rule.tenants;
    if (std::find(tenants.begin(), tenants.end(), name) != tenants.end())
      diagnostics.push_back({Severity::kError, entry.where, "rule." + rule + ".tenants",
                             "names the tenant " + log::quoted(name, 64) + ", which is declared no more"});
  }
}

}  // namespace

LoadedTenant load_tenant(const Config &config, const std::string &name, const Machine &machine) {
  LoadedTenant loaded;
  auto &diagnostics = loaded.diagnostics;
  if (!is_valid_name(name)) {
    diagnostics.push_back(
        {Severity::kError, {config.file, 0, 0}, {}, log::quoted(name, 64) + " is not a name for a tenant"});
    return loaded;
  }
  for (const std::string &file : files_that_may_declare(config, name)) {
    const auto text = machine.read(file, kLargestFile);
    if (!text && text.error().code == ENOENT) continue;
    if (!text) {
      diagnostics.push_back({Severity::kError, {file, 0, 0}, {}, text.error().message()});
      return loaded;
    }
    const Table root = parse_document(*text, file, diagnostics);
    if (!diagnostics.empty()) return loaded;
    const Entry *const all = Section(root, {}, "", file, diagnostics).find("tenant");
    if (all == nullptr || all->value.as<Table>() == nullptr) continue;
    Section tenants(*all->value.as<Table>(), all->where, "tenant", file, diagnostics);
    const Entry *const entry = tenants.find(name);
    if (entry == nullptr) continue;
    const Table *const table = entry->value.as<Table>();
    if (table == nullptr) {
      tenants.fail(name, "wrong value", "a table [tenant.NAME]", entry->value.describe());
      return loaded;
    }
    Section section = tenants.inside(name, *table, entry->where);
    auto tenant = std::make_shared<Tenant>();
    tenant->name = name;
    read_tenant(section, config, machine, *tenant);
    check_plan(section, config, *tenant);
    if (section.complaints() == 0) loaded.tenant = std::move(tenant);
    return loaded;
  }
  check_rules(config, name, diagnostics);
  if (diagnostics.empty()) loaded.tenant = nullptr;
  return loaded;
}

}  // namespace paddock::policies
