#include "policies/config_file.h"

#include <algorithm>
#include <cstdio>
#include <list>
#include <map>
#include <set>
#include <tuple>

#include "base/log.h"
#include "policies/dashboard_section.h"
#include "policies/mail_section.h"
#include "policies/network_section.h"
#include "policies/notify_section.h"
#include "policies/php_section.h"
#include "policies/plan_section.h"
#include "policies/rule_section.h"
#include "policies/runtime_section.h"
#include "policies/seccomp_profile.h"
#include "policies/socket_path.h"
#include "policies/tenant_section.h"
#include "policies/units.h"

namespace paddock::policies {
namespace {

struct File {
  std::string path;
  Table root;
};

// A [plan.NAME] or [tenant.NAME], before it is read.
struct Declaration {
  const File *file = nullptr;
  const Entry *entry = nullptr;

  [[nodiscard]] const Table &table() const { return *entry->value.as<Table>(); }
};

class Loader {
 public:
  explicit Loader(const Machine &machine) : machine_(machine) {}

  Loaded load(std::string_view text, const std::string &path) {
    const File &main = parse(text, path);
    if (syntax_error_) return finish();
    config_.file = path;
    read_main(main);
    profiles_.emplace(machine_, config_.runtime.seccomp_dir);
    collect(main);
    for (auto &[name, declaration] : phps_) add_php(name, declaration);
    if (!is_php(config_, config_.runtime.php))
      read_part(main, "runtime", [&](Section &part) { check_php(part, config_, config_.runtime.php); });
    for (auto &[name, declaration] : plans_) resolve_plan(name);
    if (!config_.plans.contains("default")) {
      config_.plans["default"].name = "default";
      config_.plans["default"].where = {path, 0, 0};
      config_.plans["default"].seccomp_filter = profiles_->filter("default", false, diagnostics_);
    }
    for (auto &[name, declaration] : tenants_) add_tenant(name, declaration);
    for (auto &[name, declaration] : rules_) add_rule(name, declaration);
    check_notifications(main);
    if (!syntax_error_)
      read_part(main, "network",
                [&](Section &part) { check_network(part, machine_, config_, diagnostics_); });
    check_overcommitment();
    return finish();
  }

  Loaded unreadable(const std::string &path, const Error &error) {
    diagnostics_.push_back({Severity::kError, {path, 0, 0}, {}, error.message()});
    return {std::nullopt, std::move(diagnostics_)};
  }

 private:
  [[nodiscard]] std::size_t errors() const {
    return static_cast<std::size_t>(
        std::count_if(diagnostics_.begin(), diagnostics_.end(),
                      [](const auto &found) { return found.severity == Severity::kError; }));
  }

  Section section(const File &file, const Table &table, Position where, std::string path) {
    return {table, where, std::move(path), file.path, diagnostics_};
  }

  const File &parse(std::string_view text, const std::string &path) {
    const std::size_t before = diagnostics_.size();
    files_.push_back({path, {}});
    File &file = files_.back();
    file.root = parse_document(text, file.path, diagnostics_);
    if (diagnostics_.size() > before) syntax_error_ = true;
    return file;
  }

  void read_main(const File &main) {
    Section root = section(main, main.root, {}, "");
    const auto includes = root.texts("include");
    read_part(main, root, "runtime", [&](Section &part) { read_runtime(part, machine_, config_.runtime); });
    read_part(main, root, "apache", [&](Section &part) { read_apache(part, machine_, config_); });
    read_part(main, root, "dashboard", [&](Section &part) { read_dashboard(part, machine_, config_); });
    read_part(main, root, "mail", [&](Section &part) { read_mail(part, machine_, config_); });
    read_part(main, root, "notify", [&](Section &part) { read_notify(part, machine_, config_.notify); });
    read_part(main, root, "network", [&](Section &part) { read_network(part, config_.nat); });
    root.table("plan");
    root.table("tenant");
    root.table("rule");
    root.table("php");
    root.finish();
    if (!includes) return;
    for (const auto &[pattern, where] : *includes) include(main, root, pattern, where);
  }

  template <typename Read>
  void read_part(const File &main, Section &root, std::string_view key, Read read) {
    static const Table kEmpty;
    const Table *table = root.table(key);
    Section part = section(main, table == nullptr ? kEmpty : *table, root.position_of(key), std::string(key));
    read(part);
  }

  template <typename Read>
  void read_part(const File &main, std::string_view key, Read read) {
    Section root = section(main, main.root, {}, "");
    read_part(main, root, key, read);
  }

  void include(const File &main, Section &root, const std::string &pattern, Position where) {
    std::string full = pattern;
    if (!pattern.starts_with('/')) {
      const std::size_t slash = main.path.rfind('/');
      full.clear();
      // The directory is meant as it is, whatever characters of glob(7) it holds.
      for (const char c : slash == std::string::npos ? std::string() : main.path.substr(0, slash + 1)) {
        if (std::string_view("*?[\\").find(c) != std::string_view::npos) full += '\\';
        full += c;
      }
      full += pattern;
    }
    config_.includes.push_back(full);
    const auto paths = machine_.expand(full);
    if (paths.empty() && pattern.find_first_of("*?[") == std::string::npos)
      root.fail_at(where, "include", "there is no file " + log::quoted(full));
    for (const auto &path : paths) {
      if (path == main.path || !included_.insert(path).second) continue;
      const auto text = machine_.read(path, kLargestFile);
      if (!text) {
        root.fail_at(where, "include", text.error().message());
        continue;
      }
      const File &file = parse(*text, path);
      Section top = section(file, file.root, {}, "");
      top.table("plan");
      top.table("tenant");
      top.table("rule");
      top.table("php");
      // Its package brings it as a file of its own.
      if (root.find("dashboard") == nullptr && top.find("dashboard") != nullptr)
        read_part(file, top, "dashboard", [&](Section &part) { read_dashboard(part, machine_, config_); });
      else if (top.find("dashboard") != nullptr)
        top.fail("dashboard", "the main file has one already", "one [dashboard]");
      for (const char *key : {"include", "runtime", "apache", "mail", "notify", "network"})
        if (top.find(key) != nullptr)
          top.fail(key, "only the main file may have this",
                   "[plan.NAME], [tenant.NAME], [rule.NAME] or [php.NAME]");
      reject_unknown(top, file);
      collect(file);
    }
  }

  // As Section::finish(), where include, runtime and apache have been complained about already.
  static void reject_unknown(Section &top, const File &file) {
    for (const auto &entry : file.root) {
      static const std::vector<std::string> kKnown = {"plan", "tenant", "rule", "php"};
      static const std::set<std::string_view> kReported = {"plan",    "tenant",  "rule",   "php",
                                                           "include", "runtime", "apache", "dashboard",
                                                           "mail",    "notify",  "network"};
      if (kReported.contains(entry.key)) continue;
      const std::string nearest = nearest_of(entry.key, kKnown);
      top.fail(entry.key, "unknown key", nearest.empty() ? "one of plan, tenant, rule, php" : "", {},
               nearest);
    }
  }

  void collect(const File &file) {
    collect(file, "plan", plans_);
    collect(file, "tenant", tenants_);
    collect(file, "rule", rules_);
    collect(file, "php", phps_);
  }

  void collect(const File &file, const std::string &kind, std::map<std::string, Declaration> &into) {
    const auto found =
        std::find_if(file.root.begin(), file.root.end(), [&](const Entry &e) { return e.key == kind; });
    if (found == file.root.end()) return;
    const auto *table = found->value.as<Table>();
    if (table == nullptr) return;  // Section::table() has said so
    Section all = section(file, *table, found->where, kind);
    for (const auto &entry : *table) {
      if (entry.value.as<Table>() == nullptr) {
        all.fail(entry.key, "wrong value", "a table [" + kind + ".NAME]", entry.value.describe());
        continue;
      }
      if (!is_valid_name(entry.key)) {
        all.fail(entry.key, "not a name for a " + kind, kNameRule);
        continue;
      }
      const auto [place, fresh] = into.emplace(entry.key, Declaration{&file, &entry});
      if (fresh) continue;
      const Position first = place->second.entry->where;
      all.fail(entry.key, "declared twice; the first is at " +
                              Location{place->second.file->path, first.line, first.column}.to_string());
    }
  }

  [[nodiscard]] std::string nearest_plan(const std::string &name) const {
    std::vector<std::string> names = {"default"};
    for (const auto &[known, declaration] : plans_) names.push_back(known);
    return nearest_of(name, names);
  }

  // The plan that `name` inherits from, which exists; empty: none.
  std::string parent_of(const std::string &name, bool complain) {
    const Declaration &declaration = plans_.at(name);
    const auto &table = declaration.table();
    const auto found =
        std::find_if(table.begin(), table.end(), [](const Entry &e) { return e.key == "inherits"; });
    if (found == table.end()) return {};
    const auto *parent = found->value.as<std::string>();
    if (parent == nullptr) return {};  // read_plan() says so
    if (plans_.contains(*parent)) return *parent;
    if (*parent != "default" && complain && !syntax_error_) {
      Section plan = section(*declaration.file, table, declaration.entry->where, "plan." + name);
      plan.fail("inherits", "there is no plan " + log::quoted(*parent, 64), "the name of a plan", {},
                nearest_plan(*parent));
    }
    return {};
  }

  // Walks up to a plan that is resolved or inherits from none, then reads down. Not recursive: a chain may be
  // as long as the config.
  void resolve_plan(const std::string &name) {
    std::vector<std::string> chain;
    std::set<std::string> seen;
    for (std::string next = name; !next.empty() && !config_.plans.contains(next);
         next = parent_of(next, true)) {
      if (!seen.insert(next).second) {
        const Declaration &declaration = plans_.at(chain.back());
        Section plan =
            section(*declaration.file, declaration.table(), declaration.entry->where, "plan." + chain.back());
        plan.fail("inherits", "a plan cannot inherit from itself", {},
                  chain.back() == next ? std::string() : "by way of " + log::quoted(next));
        break;
      }
      chain.push_back(next);
    }
    for (auto last = chain.rbegin(); last != chain.rend(); ++last) {
      const Declaration &declaration = plans_.at(*last);
      const std::string parent = parent_of(*last, false);
      Plan plan;
      if (const auto known = config_.plans.find(parent); known != config_.plans.end()) plan = known->second;
      plan.name = *last;
      Section part = section(*declaration.file, declaration.table(), declaration.entry->where,
                             "plan." + (is_bare_key(*last) ? *last : log::quoted(*last)));
      read_plan(part, config_.runtime.hidden(), machine_, *profiles_, diagnostics_, plan);
      if (!syntax_error_) check_php(part, config_, plan.php);
      config_.plans[*last] = std::move(plan);
    }
  }

  void add_tenant(const std::string &name, const Declaration &declaration) {
    Section part = section(*declaration.file, declaration.table(), declaration.entry->where,
                           "tenant." + (is_bare_key(name) ? name : log::quoted(name)));
    auto tenant = std::make_shared<Tenant>();
    tenant->name = name;
    read_tenant(part, config_, machine_, *tenant);
    // The plans of a file that cannot be read are not known.
    if (!syntax_error_) check_plan(part, config_, *tenant);
    config_.tenants.emplace(name, std::move(tenant));
  }

  void add_php(const std::string &name, const Declaration &declaration) {
    Section part = section(*declaration.file, declaration.table(), declaration.entry->where,
                           "php." + (is_bare_key(name) ? name : log::quoted(name)));
    Php &php = config_.phps[name];
    php.name = name;
    read_php(part, machine_, php);
  }

  void add_rule(const std::string &name, const Declaration &declaration) {
    // Without the plans and tenants of a file that cannot be read, what a rule names cannot be found either.
    if (syntax_error_) return;
    Section part = section(*declaration.file, declaration.table(), declaration.entry->where,
                           "rule." + (is_bare_key(name) ? name : log::quoted(name)));
    read_rule(part, name, machine_, config_);
  }

  // The account that notifies need not exist before a rule wants it.
  void check_notifications(const File &main) {
    const bool wanted =
        config_.notify.wanted() ||
        std::any_of(config_.rules.begin(), config_.rules.end(), [](const auto &each) {
          return !each.second.rule.action.command.empty() || !each.second.rule.action.webhook.empty();
        });
    if (!wanted) return;
    Runtime &runtime = config_.runtime;
    const auto account = machine_.account(runtime.notify_user);
    if (account && account->has_value() && (*account)->uid != 0) {
      runtime.notify_uid = (*account)->uid;
      runtime.notify_gid = (*account)->gid;
      return;
    }
    read_part(main, "runtime", [&](Section &part) {
      part.fail("notify_user",
                "user " + log::quoted(runtime.notify_user) +
                    (!account               ? ": " + account.error().message()
                     : account->has_value() ? " is uid 0"
                                            : " does not exist"),
                "an account without rights of its own, for commands, webhooks and mails");
    });
  }

  // Limits of one plan's tenants together, beyond what the machine has so many times over.
  void check_overcommitment() {
    std::map<std::string, std::uint64_t> tenants;
    for (const auto &[name, tenant] : config_.tenants) ++tenants[tenant->plan];
    for (const auto &[name, count] : tenants) {
      const auto plan = config_.plans.find(name);
      if (plan == config_.plans.end() || syntax_error_) continue;
      const auto warn = [&](const std::string &promised, double factor, double allowed, const char *setting) {
        if (allowed <= 0 || factor <= allowed) return;
        char times[64];
        std::snprintf(times, sizeof times, "%.1f times this machine's; %s is %.4g", factor, setting, allowed);
        diagnostics_.push_back(
            {Severity::kWarning, plan->second.where, "plan." + name,
             "its " + std::to_string(count) + " tenants may together use " + promised + ", " + times});
      };
      const Limits &limits = plan->second.limits;
      const auto many = static_cast<double>(count);
      if (limits.memory_max && machine_.memory_bytes != 0)
        warn(format_bytes(*limits.memory_max) + " of memory each",
             many * static_cast<double>(*limits.memory_max) / static_cast<double>(machine_.memory_bytes),
             config_.runtime.overcommit_memory, "overcommit_memory");
      if (limits.cpu_percent && machine_.cpus != 0)
        warn(std::to_string(*limits.cpu_percent) + "% of a CPU each",
             many * *limits.cpu_percent / (100.0 * machine_.cpus), config_.runtime.overcommit_cpu,
             "overcommit_cpu");
    }
  }

  Loaded finish() {
    std::map<std::string_view, std::size_t> order;
    for (const auto &file : files_) order.emplace(file.path, order.size());
    std::stable_sort(diagnostics_.begin(), diagnostics_.end(), [&](const Diagnostic &a, const Diagnostic &b) {
      return std::tuple(order[a.where.file], a.where.line, a.where.column) <
             std::tuple(order[b.where.file], b.where.line, b.where.column);
    });
    Loaded loaded;
    for (const auto &file : files_) config_.files.push_back(file.path);
    if (errors() == 0) loaded.config = std::move(config_);
    loaded.diagnostics = std::move(diagnostics_);
    return loaded;
  }

  const Machine &machine_;
  std::vector<Diagnostic> diagnostics_;
  std::list<File> files_;  // declarations point into them
  std::set<std::string> included_;
  std::map<std::string, Declaration> plans_;
  std::map<std::string, Declaration> tenants_;
  std::map<std::string, Declaration> rules_;
  std::map<std::string, Declaration> phps_;
  std::optional<SeccompProfiles> profiles_;
  Config config_;
  bool syntax_error_ = false;
};

}  // namespace

Loaded load_config(const std::string &path, const Machine &machine) {
  const auto text = machine.read(path, kLargestFile);
  if (!text) return Loader(machine).unreadable(path, text.error());
  return parse_config(*text, path, machine);
}

Loaded parse_config(std::string_view text, const std::string &path, const Machine &machine) {
  return Loader(machine).load(text, path);
}

Result<Runtime> load_directories(const std::string &path) {
  PADDOCK_TRY(const std::string text, this_machine().read(path, kLargestFile));
  std::vector<Diagnostic> diagnostics;
  const Table root = parse_document(text, path, diagnostics);
  Runtime runtime;
  for (const auto &entry : root)
    if (const auto *table = entry.value.as<Table>(); table != nullptr && entry.key == "runtime") {
      Section section(*table, entry.where, "runtime", path, diagnostics);
      read_directories(section, runtime);
    }
  if (!diagnostics.empty()) return Error{diagnostics.front().to_string()};
  return runtime;
}

}  // namespace paddock::policies
