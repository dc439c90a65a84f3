// A seccomp profile as a TOML file says it: which system calls a sandbox may make, which it is refused, and
// why. docs/man/seccomp.toml.5
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policies/diagnostic.h"
#include "policies/machine.h"

namespace paddock::policies {

// What an argument of a call may be. The argument counts as 32 bits wide unless the mask says otherwise: the
// kernel takes the low half of such arguments, whatever the high half holds.
struct ArgumentCheck {
  std::uint32_t argument = 0;  // from 0
  std::uint64_t mask = UINT32_MAX;
  std::vector<std::uint64_t> allow;
  std::vector<std::uint64_t> refuse;  // EPERM; all others: SyscallRule::error
  // A second argument that must be equal to this for `allow` to hold.
  std::optional<std::pair<std::uint32_t, std::uint64_t>> also;
  std::string text;  // "argument 0 & 0x7e020000: 0", for people
};

struct SyscallRule {
  enum class Kind : std::uint8_t { kAllow, kRefuse, kCheck };
  std::string syscall;
  Kind kind = Kind::kAllow;
  int error = 0;                      // kRefuse: the answer; kCheck: the answer to what no check allows
  std::vector<ArgumentCheck> checks;  // kCheck: one of them must hold
  std::string group;
  std::string reason;
  Location where;
};

struct SeccompProfile {
  std::string name;
  std::string description;
  std::vector<std::string> files;            // itself first, then what it inherits from
  std::map<std::string, SyscallRule> rules;  // by the call's name; any other call answers ENOSYS
};

// Reads profiles: from DIRECTORY/NAME.toml where there is one, else a shipped one (policies/seccomp/).
class SeccompProfiles {
 public:
  // `machine` outlives this; directory empty: the shipped ones only.
  SeccompProfiles(const Machine &machine, std::string directory)
      : machine_(machine), directory_(std::move(directory)) {}

  // nullptr: there is no such profile (then `diagnostics` is as before), or it is wrong.
  [[nodiscard]] std::shared_ptr<const SeccompProfile> find(const std::string &name,
                                                           std::vector<Diagnostic> &diagnostics);
  // The profile as a filter for seccomp(2): the bytes of an array of sock_filter. Compiled once for each
  // name. learning: what the profile does not know is allowed and logged by the kernel (SECCOMP_RET_LOG), not
  // answered with ENOSYS.
  [[nodiscard]] std::shared_ptr<const std::string> filter(const std::string &name, bool learning,
                                                          std::vector<Diagnostic> &diagnostics);
  // Whether the profile has been asked for and is wrong: the diagnostics say so once.
  [[nodiscard]] bool is_broken(const std::string &name) const { return broken_.contains(name); }
  // The first calls that the profile allows and the shipped "default" does not: "ptrace, kcmp, …"; empty:
  // none.
  [[nodiscard]] std::string beyond_default(const std::string &name);
  // The shipped ones.
  [[nodiscard]] static std::vector<std::string> names();

 private:
  std::shared_ptr<const SeccompProfile> read(const std::string &name, int depth,
                                             std::vector<Diagnostic> &diagnostics);

  const Machine &machine_;
  std::string directory_;
  std::map<std::string, std::shared_ptr<const SeccompProfile>> known_;
  std::shared_ptr<const SeccompProfile> shipped_default_;
  std::set<std::string> broken_;
  std::map<std::pair<std::string, bool>, std::shared_ptr<const std::string>> filters_;
};

}  // namespace paddock::policies
