#include "php_worker/web_settings.h"

#include "php_worker/php_ini.h"
#include "protocols/fastcgi/settings.h"

namespace paddock::php_worker {
namespace {

std::span<const std::uint8_t> held;

}  // namespace

bool hold_web_settings(std::span<const std::uint8_t> encoded) {
  held = {};
  fastcgi::SettingsDecoder decoder(encoded);
  fastcgi::Setting setting;
  while (decoder.next(setting)) {
    // C strings end at a NUL, and PHP hands values to many a function that takes one.
    if (setting.name.find('\0') != std::string_view::npos ||
        setting.value.find('\0') != std::string_view::npos)
      return false;
  }
  if (decoder.malformed()) return false;
  held = encoded;
  return true;
}

void apply_web_settings() {
  fastcgi::SettingsDecoder decoder(held);
  fastcgi::Setting setting;
  while (decoder.next(setting)) set_for_request(setting.name, setting.value, setting.admin, setting.htaccess);
}

}  // namespace paddock::php_worker
