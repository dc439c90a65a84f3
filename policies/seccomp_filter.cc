#include "policies/seccomp_filter.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/unique_fd.h"

namespace paddock::policies {
namespace {

struct Release {
  void operator()(void *context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

// libseccomp returns a negative errno.
Result<void> done(int result, const std::string &attempt) {
  if (result < 0) return errno_error(attempt, -result);
  return {};
}

std::uint32_t refusal(int error) {
  return SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error));
}

scmp_arg_cmp equal(std::uint32_t argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value & mask};
}

Result<void> add_check(scmp_filter_ctx context, int number, const ArgumentCheck &check,
                       const std::string &attempt) {
  for (const std::uint64_t value : check.allow) {
    std::vector<scmp_arg_cmp> comparisons = {equal(check.argument, check.mask, value)};
    if (check.also) comparisons.push_back(equal(check.also->first, UINT32_MAX, check.also->second));
    PADDOCK_CHECK(
        done(::seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number,
                                      static_cast<unsigned>(comparisons.size()), comparisons.data()),
             attempt));
  }
  for (const std::uint64_t value : check.refuse) {
    const scmp_arg_cmp comparison = equal(check.argument, check.mask, value);
    PADDOCK_CHECK(done(::seccomp_rule_add_array(context, refusal(EPERM), number, 1, &comparison), attempt));
  }
  return {};
}

Result<void> add(scmp_filter_ctx context, int number, const SyscallRule &rule, bool learning) {
  const std::string attempt = "add " + rule.syscall + " to a seccomp filter";
  switch (rule.kind) {
    case SyscallRule::Kind::kAllow:
      return done(::seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 0, nullptr), attempt);
    case SyscallRule::Kind::kRefuse:
      // What is the filter's answer to the unknown is no rule (EACCES).
      if (rule.error == ENOSYS && !learning) return {};
      return done(::seccomp_rule_add_array(context, refusal(rule.error), number, 0, nullptr), attempt);
    case SyscallRule::Kind::kCheck:
      for (const auto &check : rule.checks) PADDOCK_CHECK(add_check(context, number, check, attempt));
      if (rule.error == ENOSYS && !learning) return {};
      // True of every value, but a comparison: a rule without any would take the place of those above.
      // libseccomp sorts comparisons with a mask before it; seccomp_filter_test.cc sees to that.
      const scmp_arg_cmp always{rule.checks.front().argument, SCMP_CMP_GE, 0, 0};
      return done(::seccomp_rule_add_array(context, refusal(rule.error), number, 1, &always), attempt);
  }
  return {};
}

}  // namespace

std::optional<int> syscall_number(const std::string &name) {
  const int number = ::seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) return std::nullopt;
  return number;
}

std::string syscall_name(int number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
  return name ? name.get() : std::string();
}

Result<std::string> compile_filter(const SeccompProfile &profile, bool learning) {
  const std::string attempt = "compile the seccomp profile " + profile.name;
  // What libseccomp asks the kernel when it is first used, valgrind answers with ENOSYS. The filter is
  // compiled for kernels since 4.14 in any case; one that cannot take it says so when it is installed.
  if (::seccomp_api_get() < 3) ::seccomp_api_set(3);
  const Context context(::seccomp_init(learning ? SCMP_ACT_LOG : refusal(ENOSYS)));
  if (!context) return errno_error(attempt, ENOMEM);
  PADDOCK_CHECK(
      done(::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), attempt));
  PADDOCK_CHECK(done(::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), attempt));
  for (const auto &[name, rule] : profile.rules) {
    const auto number = syscall_number(name);
    if (!number) return errno_error(attempt + ": " + name, EINVAL);
    if (*number >= 0) PADDOCK_CHECK(add(context.get(), *number, rule, learning));
  }
  const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return errno_error(attempt);
  PADDOCK_CHECK(done(::seccomp_export_bpf(context.get(), file.get()), attempt));
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size <= 0 || size % static_cast<off_t>(sizeof(sock_filter)) != 0 ||
      size > static_cast<off_t>(BPF_MAXINSNS * sizeof(sock_filter)))
    return errno_error(attempt + ": " + std::to_string(size) + " bytes", E2BIG);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (::pread(file.get(), bytes.data(), bytes.size(), 0) != size) return errno_error(attempt);
  return bytes;
}

}  // namespace paddock::policies
