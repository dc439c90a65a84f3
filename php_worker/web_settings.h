// php_value and its kin as mod_paddock has read and merged them, instead of our own reading of .htaccess
// files.
#pragma once

#include <cstdint>
#include <span>

namespace paddock::php_worker {

// Holds what the web server sent (protocols/fastcgi/settings.h) for apply_web_settings(); the bytes must
// outlive it. False: they are malformed, and the request is refused.
[[nodiscard]] bool hold_web_settings(std::span<const std::uint8_t> encoded);

// Within zend_try, before php_request_startup(). Names that PHP does not know, or whose value it refuses, are
// skipped in silence, as under mod_php; what the plan has set as admin stays.
void apply_web_settings();

}  // namespace paddock::php_worker
