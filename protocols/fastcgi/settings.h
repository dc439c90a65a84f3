// PHP settings that the web server's module has read for a request: FastCGI's record of our own, kSettings.
//
// It comes between BEGIN_REQUEST and the first PARAMS record, as often as the settings need it, with the
// request's id. Its content is name-value pairs, the name preceded by one character, a sum of '0', 1
// (php_admin_…) and 2 (it stood in an .htaccess). An empty record says that the web server has read all there
// is and nothing was said. No header, environment variable or rewrite rule makes mod_proxy_fcgi or a web
// server write a record of this type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocols/fastcgi/params.h"

namespace paddock::fastcgi {

// Beyond the types of the specification. PHP-FPM ends a connection at one that it does not know; what follows
// the specification answers UNKNOWN_TYPE and goes on.
inline constexpr std::uint8_t kSettings = 64;

struct Setting {
  std::string_view name;
  std::string_view value;
  bool admin = false;
  bool htaccess = false;
};

void append_setting(std::string &out, const Setting &setting);
// Appends the records, at least one, header included.
void append_settings_records(std::string &out, std::uint16_t request_id, std::string_view content);

// Walks over what append_setting() wrote. Names and values point into the caller's bytes.
class SettingsDecoder {
 public:
  explicit SettingsDecoder(std::span<const std::uint8_t> bytes) : pairs_(bytes) {}
  // The next one, or false: at the end, or where it is malformed().
  bool next(Setting &setting);
  [[nodiscard]] bool malformed() const { return malformed_ || pairs_.malformed(); }

 private:
  ParamsDecoder pairs_;
  bool malformed_ = false;
};

}  // namespace paddock::fastcgi
