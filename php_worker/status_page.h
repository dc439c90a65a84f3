// The status and ping pages, as PHP-FPM has them: pm.status_path, ping.path, ping.response.
#pragma once

#include <string>
#include <string_view>

namespace paddock::php_worker {

struct Page {
  std::string type;
  std::string body;
};

// `query` as FPM reads it: json, xml, html or openmetrics choose the format (text else), full lists the
// processes. Of pool_view(), which has a board. The board is the tenant's own, and so is the page; what it
// holds is escaped for the format.
[[nodiscard]] Page status_page(std::string_view query);

}  // namespace paddock::php_worker
