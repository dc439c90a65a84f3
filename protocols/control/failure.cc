#include "protocols/control/failure.h"

#include <array>

namespace paddock::control {
namespace {

struct Row {
  ErrorCode code;
  std::string_view name;
  ExitStatus status;
};

constexpr std::array<Row, 7> kRows{{
    {ErrorCode::kBadRequest, "bad-request", ExitStatus::kUsage},
    {ErrorCode::kNotPermitted, "not-permitted", ExitStatus::kNotPermitted},
    {ErrorCode::kUnknownTenant, "unknown-tenant", ExitStatus::kUnknownTenant},
    {ErrorCode::kWrongState, "wrong-state", ExitStatus::kFailed},
    {ErrorCode::kConfig, "config", ExitStatus::kUsage},
    {ErrorCode::kFailed, "failed", ExitStatus::kFailed},
    {ErrorCode::kNotRunning, "not-running", ExitStatus::kNotRunning},
}};

}  // namespace

std::string_view name_of(ErrorCode code) {
  return kRows[static_cast<std::size_t>(code)].name;
}

std::optional<ErrorCode> error_code_of(std::string_view name) {
  for (const auto &row : kRows)
    if (row.name == name) return row.code;
  return std::nullopt;
}

ExitStatus exit_status_of(ErrorCode code) {
  return kRows[static_cast<std::size_t>(code)].status;
}

}  // namespace paddock::control
