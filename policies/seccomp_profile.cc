#include "policies/seccomp_profile.h"

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "policies/entries.h"
#include "policies/seccomp_filter.h"
#include "policies/seccomp_names.h"
#include "policies/seccomp_shipped.h"
#include "policies/section.h"

namespace paddock::policies {
namespace {

constexpr std::size_t kLargestProfile = 1 << 20;
constexpr int kDeepest = 8;
constexpr std::uint64_t kArguments = 6;

// What each table has beside its calls.
struct Heading {
  std::string group;
  std::string reason;
  Location where;
};

// One file's rules: what it says twice is a mistake, what it says of an inherited call replaces that.
class Reader {
 public:
  explicit Reader(SeccompProfile &profile) : profile_(profile) {}

  void read(Section &root) {
    if (const auto description = root.text("description")) profile_.description = *description;
    for (const Value *value : root.tables("allow")) {
      Section part = root.inside("allow", *value->as<Table>(), value->where);
      read_calls(part, SyscallRule::Kind::kAllow);
    }
    for (const Value *value : root.tables("refuse")) {
      Section part = root.inside("refuse", *value->as<Table>(), value->where);
      read_calls(part, SyscallRule::Kind::kRefuse);
    }
    for (const Value *value : root.tables("check")) {
      Section part = root.inside("check", *value->as<Table>(), value->where);
      read_check(part);
    }
    root.finish();
    for (auto &[name, rule] : own_) profile_.rules[name] = std::move(rule);
  }

 private:
  static std::string required(Section &section, std::string_view key, const char *expected) {
    const auto text = section.text(key);
    if (!text && section.find(key) == nullptr) section.fail(key, "missing", expected);
    if (text && text->find_first_not_of(" \t") == std::string::npos) section.fail(key, "empty", expected);
    return text.value_or("");
  }

  static Heading heading(Section &section) {
    return {required(section, "group", "a name for what the calls have in common"),
            required(section, "reason", "why the profile says so"), section.location()};
  }

  static bool is_call(Section &section, std::string_view key, const std::string &name, Position where) {
    if (syscall_number(name)) return true;
    section.fail_at(where, key, "there is no system call " + log::quoted(name, 64), "", "",
                    nearest_of(name, known_calls()));
    return false;
  }

  static std::vector<std::string> known_calls() {
    std::vector<std::string> names;
    for (int number = 0; number < 512; ++number)
      if (auto name = syscall_name(number); !name.empty()) names.push_back(std::move(name));
    return names;
  }

  static int read_error(Section &section, std::string_view key) {
    const auto names = refusal_names();
    const auto index = section.choice(key, names);
    return index ? refusal_value(names[*index]).value_or(EPERM) : EPERM;
  }

  void read_calls(Section &section, SyscallRule::Kind kind) {
    const Heading head = heading(section);
    const int error = kind == SyscallRule::Kind::kRefuse ? read_error(section, "errno") : 0;
    const auto calls = section.texts("syscalls");
    section.finish();
    if (!calls) {
      if (section.find("syscalls") == nullptr) section.fail("syscalls", "missing", "names of system calls");
      return;
    }
    for (const auto &[name, where] : *calls) {
      if (!is_call(section, "syscalls", name, where)) continue;
      SyscallRule rule{name, kind, error, {}, head.group, head.reason, section.location(where)};
      if (const auto [place, fresh] = own_.emplace(name, std::move(rule)); !fresh)
        section.fail_at(
            where, "syscalls",
            log::quoted(name, 64) + " is named twice; the first is at " + place->second.where.to_string());
    }
  }

  static std::vector<std::uint64_t> read_values(Section &section, std::string_view key) {
    std::vector<std::uint64_t> values;
    const Array *items = section.array(key);
    if (items == nullptr) return values;
    for (const auto &item : *items) {
      if (const auto *number = item.as<std::int64_t>(); number != nullptr && *number >= 0) {
        values.push_back(static_cast<std::uint64_t>(*number));
        continue;
      }
      const auto *text = item.as<std::string>();
      const auto value = text == nullptr ? std::nullopt : argument_value(*text);
      if (value) {
        values.push_back(*value);
      } else {
        section.fail_at(item.where, key, "wrong value", "a number, or a name such as \"AF_INET\"",
                        item.describe(), text == nullptr ? "" : nearest_of(*text, argument_names()));
      }
    }
    return values;
  }

  // The values as the file has them.
  static std::string text_of(Section &section, std::string_view key) {
    std::string text;
    const Entry *entry = section.find(key);
    const auto *items = entry == nullptr ? nullptr : entry->value.as<Array>();
    if (items == nullptr) return text;
    for (const auto &item : *items) {
      if (!text.empty()) text += ' ';
      if (const auto *name = item.as<std::string>()) text += *name;
      if (const auto *number = item.as<std::int64_t>()) text += std::to_string(*number);
    }
    return text;
  }

  void read_check(Section &section) {
    const Heading head = heading(section);
    const std::string name = required(section, "syscall", "the name of a system call");
    ArgumentCheck check;
    const auto argument = section.integer("argument", 0, kArguments - 1);
    if (!argument && section.find("argument") == nullptr)
      section.fail("argument", "missing", "which argument, from 0");
    check.argument = static_cast<std::uint32_t>(argument.value_or(0));
    check.mask = section.integer("mask", 1, INT64_MAX).value_or(UINT32_MAX);
    check.allow = read_values(section, "allow");
    check.refuse = read_values(section, "refuse");
    const auto other = section.integer("and_argument", 0, kArguments - 1);
    const auto value = section.integer("and_value", 0, UINT32_MAX);
    if (other.has_value() != value.has_value()) section.fail("", "and_argument and and_value go together");
    if (other && value) check.also = {static_cast<std::uint32_t>(*other), *value};
    const int error = read_error(section, "otherwise");
    section.finish();
    if (name.empty() || !is_call(section, "syscall", name, section.position_of("syscall"))) return;
    check.text = "argument " + std::to_string(check.argument);
    if (const auto mask = section.find("mask"); mask != nullptr) check.text += " (masked)";
    check.text += " one of " + text_of(section, "allow");
    if (check.also)
      check.text +=
          ", with argument " + std::to_string(check.also->first) + " = " + std::to_string(check.also->second);
    if (!check.refuse.empty()) check.text += "; never " + text_of(section, "refuse");

    SyscallRule rule{name, SyscallRule::Kind::kCheck, error, {check}, head.group, head.reason, head.where};
    const auto [place, fresh] = own_.emplace(name, std::move(rule));
    if (fresh) return;
    SyscallRule &first = place->second;
    if (first.kind != SyscallRule::Kind::kCheck || first.error != error ||
        first.checks.front().argument != check.argument) {
      section.fail("syscall", "does not go together with what is said of " + log::quoted(name, 64) + " at " +
                                  first.where.to_string());
      return;
    }
    first.checks.push_back(std::move(check));
  }

  SeccompProfile &profile_;
  std::map<std::string, SyscallRule> own_;
};

// Whether each check of `rule` is one of `usual`, or allows a part of what one of those does.
bool allows_no_more(const SyscallRule &rule, const SyscallRule &usual) {
  if (rule.kind != SyscallRule::Kind::kCheck || usual.kind != SyscallRule::Kind::kCheck) return false;
  return std::all_of(rule.checks.begin(), rule.checks.end(), [&](const ArgumentCheck &check) {
    return std::any_of(usual.checks.begin(), usual.checks.end(), [&](const ArgumentCheck &other) {
      return check.argument == other.argument && check.mask == other.mask &&
             (!other.also || check.also == other.also) &&
             std::all_of(check.allow.begin(), check.allow.end(), [&](std::uint64_t value) {
               return std::find(other.allow.begin(), other.allow.end(), value) != other.allow.end();
             });
    });
  });
}

}  // namespace

std::vector<std::string> SeccompProfiles::names() {
  std::vector<std::string> names;
  for (const auto &profile : shipped_profiles()) names.emplace_back(profile.name);
  return names;
}

std::shared_ptr<const SeccompProfile> SeccompProfiles::find(const std::string &name,
                                                            std::vector<Diagnostic> &diagnostics) {
  if (const auto known = known_.find(name); known != known_.end()) return known->second;
  const std::size_t before = diagnostics.size();
  auto profile = read(name, 0, diagnostics);
  if (diagnostics.size() > before) broken_.insert(name);
  return known_[name] = std::move(profile);
}

std::shared_ptr<const SeccompProfile> SeccompProfiles::read(const std::string &name, int depth,
                                                            std::vector<Diagnostic> &diagnostics) {
  if (!is_valid_name(name)) return nullptr;
  std::string file = directory_ + "/" + name + ".toml";
  std::string text;
  bool found = false;
  if (!directory_.empty() && machine_.exists(file)) {
    auto content = machine_.read(file, kLargestProfile);
    if (!content) {
      diagnostics.push_back({Severity::kError, {file, 0, 0}, {}, content.error().message()});
      return nullptr;
    }
    text = std::move(*content);
    found = true;
  }
  for (const auto &profile : shipped_profiles()) {
    if (found || name != profile.name) continue;
    file = std::string("(shipped) seccomp/") + profile.name + ".toml";
    text = profile.text;
    found = true;
  }
  if (!found) return nullptr;

  const std::size_t before = diagnostics.size();
  const Table table = parse_document(text, file, diagnostics);
  if (diagnostics.size() > before) return nullptr;
  Section root(table, {1, 1}, "", file, diagnostics);
  auto profile = std::make_shared<SeccompProfile>();
  if (const auto parent = root.text("inherits")) {
    const auto base = depth < kDeepest && *parent != name ? read(*parent, depth + 1, diagnostics) : nullptr;
    if (base) {
      *profile = *base;
    } else if (diagnostics.size() == before) {
      root.fail("inherits",
                "there is no profile " + log::quoted(*parent, 64) + ", or it inherits from this one",
                "the name of a profile", {}, nearest_of(*parent, names()));
    }
  }
  profile->name = name;
  profile->files.insert(profile->files.begin(), file);
  Reader(*profile).read(root);
  // An empty filter would refuse exit_group(2) too.
  if (diagnostics.size() > before) return nullptr;
  if (profile->rules.empty()) {
    root.fail("", "names no system call", "[[allow]], or inherits = \"default\"");
    return nullptr;
  }
  return profile;
}

std::shared_ptr<const std::string> SeccompProfiles::filter(const std::string &name, bool learning,
                                                           std::vector<Diagnostic> &diagnostics) {
  const auto key = std::pair(name, learning);
  if (const auto known = filters_.find(key); known != filters_.end()) return known->second;
  const auto profile = find(name, diagnostics);
  if (!profile) return nullptr;
  auto bytes = compile_filter(*profile, learning);
  if (!bytes) {
    diagnostics.push_back({Severity::kError, {profile->files.front(), 0, 0}, {}, bytes.error().message()});
    return nullptr;
  }
  return filters_[key] = std::make_shared<const std::string>(std::move(*bytes));
}

std::string SeccompProfiles::beyond_default(const std::string &name) {
  if (name == "default" && directory_.empty()) return {};
  std::vector<Diagnostic> ignored;
  const auto profile = find(name, ignored);
  if (!shipped_default_) shipped_default_ = SeccompProfiles(machine_, "").find("default", ignored);
  if (!profile || !shipped_default_) return {};
  std::string calls;
  int more = 0;
  for (const auto &[call, rule] : profile->rules) {
    if (rule.kind == SyscallRule::Kind::kRefuse) continue;
    const auto usual = shipped_default_->rules.find(call);
    const bool same =
        usual != shipped_default_->rules.end() &&
        (usual->second.kind == SyscallRule::Kind::kAllow || allows_no_more(rule, usual->second));
    if (same) continue;
    if (++more > 4) return calls + ", …";
    calls += (calls.empty() ? "" : ", ") + call;
  }
  return calls;
}

}  // namespace paddock::policies
