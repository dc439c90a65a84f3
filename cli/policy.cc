#include "cli/policy.h"

#include <algorithm>
#include <ostream>
#include <tuple>

#include "cli/text.h"
#include "policies/seccomp_filter.h"
#include "policies/seccomp_names.h"

namespace paddock::cli {
namespace {

using policies::SyscallRule;

std::string answer(const SyscallRule &rule) {
  switch (rule.kind) {
    case SyscallRule::Kind::kAllow:
      return "allowed";
    case SyscallRule::Kind::kRefuse:
      return "refused with " + policies::refusal_name(rule.error);
    case SyscallRule::Kind::kCheck:
      break;
  }
  std::string text = "allowed if ";
  for (const auto &check : rule.checks) text += (&check == rule.checks.data() ? "" : ", or ") + check.text;
  return text + "; else " + (rule.error == 0 ? "ENOSYS" : policies::refusal_name(rule.error));
}

control::SyscallAnswer described(const SyscallRule &rule) {
  return {rule.syscall, answer(rule), rule.group, rule.reason, rule.where.to_string()};
}

constexpr const char *kUnknown =
    "answers ENOSYS: the profile does not name it, and programs take it for a call of a newer kernel";

}  // namespace

ExitStatus explain_policy(const Session &session, const std::string &name, const std::string &call) {
  const policies::Machine machine = policies::this_machine();
  std::string directory;
  const auto loaded = policies::load_config(session.config);
  if (loaded.config) directory = loaded.config->runtime.seccomp_dir;
  if (!loaded.config && session.config_given)
    return session.fail(ExitStatus::kUsage, session.config + " has errors: paddock check tells which");
  policies::SeccompProfiles profiles(machine, directory);
  std::vector<policies::Diagnostic> diagnostics;
  const auto profile = profiles.find(name, diagnostics);
  if (!profile) {
    if (!diagnostics.empty()) return session.fail(ExitStatus::kUsage, diagnostics.front().to_string());
    std::string known;
    for (const auto &shipped : policies::SeccompProfiles::names())
      known += (known.empty() ? "" : ", ") + shipped;
    return session.fail(ExitStatus::kUsage,
                        "there is no seccomp profile " + printable(name) + "; shipped are " + known);
  }
  control::PolicyExplanation explanation{profile->name, profile->description, {}};
  if (call.empty()) {
    for (const auto &[syscall, rule] : profile->rules) explanation.calls.push_back(described(rule));
  } else {
    const bool number = call.find_first_not_of("0123456789") == std::string::npos && call.size() < 6;
    const std::string asked = number ? policies::syscall_name(std::stoi(call)) : call;
    if (asked.empty() || !policies::syscall_number(asked))
      return session.fail(ExitStatus::kUsage, "there is no system call " + printable(call));
    const auto rule = profile->rules.find(asked);
    explanation.calls.push_back(rule == profile->rules.end()
                                    ? control::SyscallAnswer{asked, kUnknown, "", "", ""}
                                    : described(rule->second));
  }
  if (session.json) {
    session.out << to_json(explanation) << '\n';
    return ExitStatus::kOk;
  }
  if (!call.empty()) {
    const auto &one = explanation.calls.front();
    session.out << one.call << ": " << one.answer << '\n';
    if (!one.group.empty())
      session.out << "  " << printable(one.group) << ": " << printable(one.reason) << "\n  " << one.where
                  << '\n';
    return ExitStatus::kOk;
  }
  session.out << profile->name << ": " << printable(profile->description) << '\n';
  // By what is answered to a group, and why: one entry each.
  auto &calls = explanation.calls;
  std::stable_sort(calls.begin(), calls.end(), [](const auto &a, const auto &b) {
    return std::tie(a.group, a.answer, a.reason) < std::tie(b.group, b.answer, b.reason);
  });
  for (std::size_t i = 0; i < calls.size();) {
    session.out << '\n'
                << printable(calls[i].group) << ": " << calls[i].answer << "\n  "
                << printable(calls[i].reason) << "\n ";
    const auto &first = calls[i];
    for (; i < calls.size() && calls[i].group == first.group && calls[i].answer == first.answer &&
           calls[i].reason == first.reason;
         ++i)
      session.out << ' ' << calls[i].call;
    session.out << '\n';
  }
  session.out << "\nanything else " << kUnknown << '\n';
  return ExitStatus::kOk;
}

}  // namespace paddock::cli
