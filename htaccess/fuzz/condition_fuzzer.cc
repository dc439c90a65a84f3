// The condition of an <If>: parsed and evaluated.
#include <cstdint>

#include "htaccess/condition.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  using namespace paddock::htaccess;
  const auto condition = Condition::parse({reinterpret_cast<const char *>(data), size});
  if (!condition) return 0;
  const Request request{[](std::string_view name) { return std::optional<std::string_view>(name); }};
  const Verdict first = condition->evaluate({request, "/srv/probe.php", "/srv"});
  const Verdict second = condition->evaluate({request, "/srv/probe.php", "/srv"});
  if (first.truth != second.truth) __builtin_trap();
  if ((first.truth == Truth::kUndecidable) == first.reason.empty()) __builtin_trap();
  return 0;
}
