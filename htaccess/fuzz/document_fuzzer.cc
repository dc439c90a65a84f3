// A whole .htaccess: parsed, and merged for a request.
#include <cstdint>

#include "htaccess/document.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  using namespace paddock::htaccess;
  static const ServerFacts facts{.defines = {{"HERE", "value"}}};
  const auto document = parse_document({reinterpret_cast<const char *>(data), size}, "/srv/.htaccess", facts);
  if (!document) {
    // Every refusal says where.
    if (document.error().code != 0 || !document.error().attempt.starts_with("/srv/.htaccess:"))
      __builtin_trap();
    return 0;
  }
  const Request request{[](std::string_view name) { return std::optional<std::string_view>(name); }};
  const Settings settings = merge({&*document}, {request, "/srv/probe.php", "/srv"});
  for (const Setting &setting : settings.values.items())
    if (setting.name.find_first_of(std::string_view("\0\n", 2)) != std::string::npos ||
        setting.value.find_first_of(std::string_view("\0\n", 2)) != std::string::npos)
      __builtin_trap();
  return 0;
}
