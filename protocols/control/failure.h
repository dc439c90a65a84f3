// Why a request of the control socket was refused, and the exit status that `paddock` makes of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace paddock::control {

// code               exit  meaning
// bad-request        2     the line is no request of this version
// not-permitted      4     the peer's user may not
// unknown-tenant     5     no such tenant in the config
// wrong-state        1     the tenant's state does not allow it: thaw of one that is not frozen
// config             2     reload: the config has errors; the old one stays in force
// failed             1     tried, and failed: the message says where
// not-running        3     never sent: what `paddock --json` prints where nobody answers
enum class ErrorCode : std::uint8_t {
  kBadRequest,
  kNotPermitted,
  kUnknownTenant,
  kWrongState,
  kConfig,
  kFailed,
  kNotRunning,
};

[[nodiscard]] std::string_view name_of(ErrorCode code);
[[nodiscard]] std::optional<ErrorCode> error_code_of(std::string_view name);

struct Failure {
  ErrorCode code = ErrorCode::kFailed;
  std::string message;
};

// What `paddock` exits with.
enum class ExitStatus : int {
  kOk = 0,
  kFailed = 1,  // the command failed, or doctor or check found something
  kUsage = 2,   // wrong arguments, or a config with errors
  kNotRunning = 3,
  kNotPermitted = 4,
  kUnknownTenant = 5,
};

[[nodiscard]] ExitStatus exit_status_of(ErrorCode code);

}  // namespace paddock::control
